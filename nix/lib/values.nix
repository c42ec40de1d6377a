# Values, with nothing but what Nix itself has.
rec {
  # keep is set without the attributes of which p says no.
  keep =
    p: set:
    builtins.listToAttrs (
      builtins.concatMap (
        name:
        if p name set.${name} then
          [
            {
              inherit name;
              value = set.${name};
            }
          ]
        else
          [ ]
      ) (builtins.attrNames set)
    );

  # only is set with some of its attributes.
  only = names: keep (name: _: builtins.elem name names);

  # prune is a value without what nobody has set: attributes that are null, at
  # any depth.
  prune =
    v:
    if builtins.isAttrs v && !(v ? outPath) then
      builtins.mapAttrs (_: prune) (keep (_: x: x != null) v)
    else if builtins.isList v then
      map prune v
    else
      v;

  # isEmpty tells what changes nothing wherever it is a default.
  isEmpty = v: v == null || v == false || v == [ ] || v == { };

  # unique is list without what was in it before.
  unique = builtins.foldl' (seen: v: if builtins.elem v seen then seen else seen ++ [ v ]) [ ];

  # when is a list of one, or of none.
  when = yes: v: if yes then [ v ] else [ ];

  # quoted are words as people list them: "a, b".
  quoted = builtins.concatStringsSep ", ";

  # split is text cut at every separator, which is one character.
  split = sep: text: builtins.filter builtins.isString (builtins.split "[${sep}]" text);

  # hasPrefix tells whether text begins with prefix.
  hasPrefix = prefix: text: builtins.substring 0 (builtins.stringLength prefix) text == prefix;

  # after is the rest of text behind its prefix.
  after =
    prefix: text:
    let
      n = builtins.stringLength prefix;
    in
    builtins.substring n (builtins.stringLength text - n) text;
}
