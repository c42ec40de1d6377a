# Options of a NixOS module that are made of the JSON Schema of declarations, so
# that they are berth's keys and nothing else.
{ lib }:
let
  inherit (lib) mkOption types;

  # typeOf is the type for a value of schema s.
  typeOf =
    s:
    let
      kinds = builtins.filter (k: k != "null") (lib.toList s.type);
      one = kind: {
        string = if s ? enum then types.enum s.enum else types.str;
        boolean = types.bool;
        integer =
          if s ? minimum && s ? maximum then types.ints.between s.minimum s.maximum else types.int;
        array = types.listOf (if s ? items then typeOf s.items else types.str);
        object =
          if s ? properties then
            types.submodule { options = optionsOf s; }
          else
            types.attrsOf (typeOf s.additionalProperties);
      }.${kind};
    in
    types.oneOf (map one kinds);

  # optionOf is the option for a key. What nobody sets is left to berth.
  optionOf =
    required: s:
    mkOption (
      {
        description = s.description or "";
      }
      // (
        if required then
          { type = typeOf s; }
        else
          {
            type = types.nullOr (typeOf s);
            default = null;
          }
      )
      // (if s ? default then { defaultText = lib.literalExpression (builtins.toJSON s.default); } else { })
    );

  # optionsOf are the options for the keys of schema s.
  optionsOf =
    s: builtins.mapAttrs (name: optionOf (builtins.elem name (s.required or [ ]))) s.properties;

  declaration = builtins.fromJSON (builtins.readFile ../../docs/reference/schema.json);
  item = key: declaration.properties.${key}.additionalProperties;
in
{
  # container are the options for the keys of a container.
  container = optionsOf (item "containers");

  # network are those for the keys of a network.
  network = optionsOf (item "networks");
}
