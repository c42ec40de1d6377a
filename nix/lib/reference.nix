# The reference of options, as Markdown.
let
  inherit (import ./values.nix) after when;

  replace = builtins.replaceStrings;

  # unset is the type of a value without the null for one that nobody sets.
  unset =
    type:
    let
      parts = builtins.match "null or [(]?(.*[^)])([)]*)" type;
    in
    if parts == null then
      type
    else if builtins.match "null or [(].*" type == null then
      after "null or " type
    else
      builtins.head parts + builtins.substring 1 9 (builtins.elemAt parts 1);

  # typeName is how a type is called.
  typeName = type: replace [ "(submodule)" ] [ "submodule" ] (unset type.description);

  # cell is text in a table.
  cell = text: replace [ "\n" "|" ] [ " " "\\|" ] text;

  shown =
    v:
    if builtins.isAttrs v && v ? text then
      v.text
    else if builtins.isString v then
      v
    else
      builtins.toJSON v;

  default =
    o:
    if o.defaultText._type or "" == "literalMD" then
      cell o.defaultText.text
    else if o ? defaultText then
      "`${cell (shown o.defaultText)}`"
    else if o ? default && o.default != null then
      "`${cell (builtins.toJSON o.default)}`"
    else
      "";

  # rows are the lines for a tree of options below the name at.
  rows =
    at: tree:
    builtins.concatMap (
      name:
      let
        o = tree.${name};
        here = if at == "" then name else "${at}.${name}";
        inner = removeAttrs (o.type.getSubOptions [ ]) [
          "_module"
          "_freeformOptions"
        ];
        below = rows "${here}${placeholder o.type.description}" inner;
      in
      if o._type or "" == "option" then
        when (
          !(o.internal or false) && o.visible or true != false
        ) "| `${here}` | ${cell (typeName o.type)} | ${default o} | ${cell (o.description or "")} |"
        ++ below
      else
        rows here o
    ) (builtins.attrNames tree);

  # placeholder is what stands for the name in what a type has below it.
  placeholder =
    description:
    if builtins.match ".*attribute set of.*" description != null then
      ".<name>"
    else if builtins.match ".*list of.*" description != null then
      ".*"
    else
      "";
in
{
  # table are the options of a tree as a table.
  table =
    at: tree:
    builtins.concatStringsSep "\n" (
      [
        "| option | type | default | |"
        "| --- | --- | --- | --- |"
      ]
      ++ rows at tree
    )
    + "\n";
}
