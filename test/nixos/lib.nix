# A stand-in for the lib of nixpkgs, for machines that have Nix alone: as much of
# the module system, and of its types, as berth's modules use. It is slower and
# stricter, and tells less when something is wrong.
let
  inherit (builtins)
    all
    any
    attrNames
    attrValues
    concatLists
    concatMap
    concatStringsSep
    elem
    elemAt
    filter
    foldl'
    functionArgs
    head
    isAttrs
    isBool
    isFunction
    isInt
    isList
    isPath
    isString
    length
    listToAttrs
    map
    mapAttrs
    replaceStrings
    substring
    tail
    ;

  toList = v: if isList v then v else [ v ];
  last = l: elemAt l (length l - 1);
  optional = yes: v: if yes then [ v ] else [ ];
  optionalAttrs = yes: v: if yes then v else { };
  filterAttrs =
    p: set:
    listToAttrs (
      concatMap (
        name:
        optional (p name set.${name}) {
          inherit name;
          value = set.${name};
        }
      ) (attrNames set)
    );
  genAttrs =
    names: f:
    listToAttrs (
      map (name: {
        inherit name;
        value = f name;
      }) names
    );
  mapAttrsToList = f: set: map (name: f name set.${name}) (attrNames set);
  hasInfix = infix: text: length (builtins.filter isString (builtins.split (escapeRegex infix) text)) > 1;
  escapeRegex = replaceStrings [ "\\" "." "[" "]" "(" ")" "*" "+" "?" "{" "}" "|" "^" "$" ] [
    "\\\\" "\\." "\\[" "\\]" "\\(" "\\)" "\\*" "\\+" "\\?" "\\{" "\\}" "\\|" "\\^" "\\$"
  ];
  unique = foldl' (seen: v: if elem v seen then seen else seen ++ [ v ]) [ ];

  # Properties of definitions.
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  kind = v: if isAttrs v then v._type or "" else "";

  # push moves properties of a set down to its attributes.
  push =
    v:
    {
      merge = concatMap push v.contents;
      "if" = map (mapAttrs (_: mkIf v.condition)) (push v.content);
      override = map (mapAttrs (_: mkOverride v.priority)) (push v.content);
    }
    .${kind v} or [ v ];

  # discharge gives the values of a definition, each with its priority.
  discharge =
    v:
    {
      merge = concatMap discharge v.contents;
      "if" = if v.condition then discharge v.content else [ ];
      override = map (d: d // { inherit (v) priority; }) (discharge v.content);
    }
    .${kind v} or [
      {
        priority = 100;
        value = v;
      }
    ];

  strongest =
    defs:
    let
      least = foldl' (a: d: if d.priority < a then d.priority else a) 9999 defs;
    in
    filter (d: d.priority == least) defs;

  # load gives a module with all that it imports, as { key; options; config; }.
  # key is the module's where it has none of its own, nor a path.
  load =
    args: key: module:
    let
      isFile = isPath module || isString module;
      m = if isFile then import module else module;
      # What is not among args is an option, as pkgs is one.
      called =
        if isFunction m then
          m (args // mapAttrs (name: _: args.${name} or args.config._module.args.${name}) (functionArgs m))
        else
          m;
      about = [
        "_file"
        "imports"
        "key"
      ];
      whole = called ? config || called ? options;
      other = removeAttrs called (about ++ [ "config" "options" ]);
      here = toString (called.key or (if isFile then module else key));
      imports = called.imports or [ ];
    in
    concatLists (builtins.genList (n: load args "${here}:${toString n}" (elemAt imports n)) (length imports))
    ++ [
      (
        if whole && other != { } then
          throw "the module ${here} has `config' or `options', and ${concatStringsSep ", " (attrNames other)} beside them"
        else
          {
            key = here;
            options = called.options or { };
            config = if whole then called.config or { } else removeAttrs called about;
          }
      )
    ];

  # once is modules without those that have been there before.
  once = foldl' (seen: m: if any (s: s.key == m.key) seen then seen else seen ++ [ m ]) [ ];

  # build makes the options and values for one level of the tree.
  build =
    loc: declared: defined:
    let
      names = unique (concatMap attrNames declared);
      pushed = concatMap push defined;
      stray = filter (n: !(elem n names)) (concatMap attrNames pushed);
      one =
        name:
        let
          decls = concatMap (d: optional (d ? ${name}) d.${name}) declared;
          defs = concatMap (d: optional (d ? ${name}) d.${name}) pushed;
          here = loc ++ [ name ];
          leaves = filter (d: kind d == "option") decls;
        in
        if leaves != [ ] then leaf here (foldl' joined { } leaves) defs else build here decls defs;
      built = genAttrs names one;
    in
    {
      options = mapAttrs (_: b: b.options) built;
      config =
        if stray != [ ] then
          throw "the option `${show (loc ++ [ (head stray) ])}' does not exist"
        else
          mapAttrs (_: b: b.config) built;
    };

  show = concatStringsSep ".";

  # joined is an option that two modules declare, each a part of it.
  joined =
    a: b:
    a // b // optionalAttrs (a ? type && b ? type) { type = a.type.join b.type; };

  leaf =
    loc: option: defs:
    let
      discharged = concatMap discharge defs;
      values = strongest (
        discharged
        ++ optional (option ? default) {
          priority = 1500;
          value = option.default;
        }
      );
      merged =
        if values == [ ] then
          throw "the option `${show loc}' is used but not defined"
        else if !(all (d: option.type.check d.value) values) then
          throw "a definition for option `${show loc}' is not of type `${option.type.description}'"
        else if option.readOnly or false && length discharged > 1 then
          throw "the option `${show loc}' is read-only, but it's set multiple times"
        else
          option.type.merge loc values;
    in
    {
      options = option // {
        inherit loc;
        isDefined = discharged != [ ];
        definitions = map (d: d.value) (strongest discharged);
      };
      config = (option.apply or (v: v)) merged;
    };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
    }:
    let
      args = {
        inherit (result) config options;
        inherit lib;
      }
      // specialArgs;
      arguments.options._module.args = lib.mkOption {
        type = types.attrsOf types.raw;
        default = { };
        internal = true;
      };
      loaded = once (load args "" { imports = [ arguments ] ++ modules; });
      result = build prefix (map (m: m.options) loaded) (map (m: m.config) loaded);
    in
    result // { config = removeAttrs result.config [ "_module" ]; };

  # Types.
  one =
    loc: defs:
    let
      values = unique (map (d: d.value) defs);
    in
    if length values > 1 then
      throw "the option `${show loc}' has conflicting definition values"
    else
      head values;
  mkOptionType =
    t:
    {
      description = t.name;
      class = "";
      check = _: true;
      merge = one;
      getSubOptions = _: { };
    }
    // t;
  simple =
    name: description: check:
    mkOptionType {
      inherit name description check;
      class = "noun";
    };

  # nested is the description of a type within that of another one, which has
  # room for some classes.
  nested = classes: t: if elem t.class classes then t.description else "(${t.description})";

  # onlyOne merges definitions of what cannot be compared.
  onlyOne =
    loc: defs:
    if length defs > 1 then
      throw "the option `${show loc}' is defined multiple times while it's expected to be unique"
    else
      (head defs).value;

  types = rec {
    bool = simple "bool" "boolean" isBool;
    str = simple "str" "string" isString;
    int = simple "int" "signed integer" isInt;
    raw = simple "raw" "raw value" (_: true) // {
      merge = onlyOne;
    };
    package = simple "package" "package" (v: v ? outPath) // {
      merge = onlyOne;
    };
    path = simple "path" "absolute path" (v: substring 0 1 (toString v) == "/");
    ints.between =
      low: high:
      simple "intBetween" "integer between ${toString low} and ${toString high} (both inclusive)" (
        v: isInt v && v >= low && v <= high
      );
    lines = str // {
      description = "strings concatenated with \"\\n\"";
      merge = _: defs: concatStringsSep "\n" (map (d: d.value) defs);
    };
    deferredModule = raw // {
      description = "module";
      merge = _: defs: { imports = map (d: d.value) defs; };
    };
    attrs = simple "attrs" "attribute set" isAttrs // {
      merge = _: foldl' (a: d: a // d.value) { };
    };
    anything = simple "anything" "anything" (_: true) // {
      merge =
        loc: defs: if all (d: isAttrs d.value) defs then (attrsOf anything).merge loc defs else one loc defs;
    };
    enum =
      values:
      simple "enum" "one of ${concatStringsSep ", " (map builtins.toJSON values)}" (v: elem v values)
      // {
        class = "conjunction";
      };
    nullOr =
      t:
      t
      // {
        description = "null or ${nested [ "noun" "conjunction" ] t}";
        class = "conjunction";
        check = v: v == null || t.check v;
        merge =
          loc: defs: if all (d: d.value == null) defs then null else t.merge loc (filter (d: d.value != null) defs);
      };
    either =
      a: b:
      simple "either"
        "${nested [ "noun" "conjunction" ] a} or ${nested [ "noun" "conjunction" "composite" ] b}"
        (v: a.check v || b.check v)
      // {
        class = "conjunction";
        merge =
          loc: defs:
          if all (d: a.check d.value) defs then a.merge loc defs else b.merge loc defs;
      };
    oneOf = ts: foldl' either (head ts) (tail ts);
    listOf =
      t:
      simple "listOf" "list of ${nested [ "noun" "composite" ] t}" (v: isList v && all t.check v)
      // {
        class = "composite";
        merge =
          loc: defs:
          map (
            v:
            t.merge (loc ++ [ "*" ]) [
              {
                priority = 100;
                value = v;
              }
            ]
          ) (concatMap (d: d.value) defs);
        inherit (t) getSubOptions;
      };
    attrsOf =
      t:
      simple "attrsOf" "attribute set of ${nested [ "noun" "composite" ] t}" isAttrs
      // {
        class = "composite";
        merge =
          loc: defs:
          let
            pushed = concatMap (d: push d.value) defs;
            of =
              name: strongest (concatMap (d: if d ? ${name} then discharge d.${name} else [ ]) pushed);
          in
          mapAttrs (
            name: values:
            if all (d: t.check d.value) values then
              t.merge (loc ++ [ name ]) values
            else
              throw "a definition for option `${show (loc ++ [ name ])}' is not of type `${t.description}'"
          ) (filterAttrs (_: v: v != [ ]) (genAttrs (unique (concatMap attrNames pushed)) of));
        inherit (t) getSubOptions;
        elem = t;
        join = other: attrsOf (t.join other.elem);
      };
    submodule =
      module:
      let
        eval =
          loc: defs:
          evalModules {
            prefix = loc;
            modules = [
              { _module.args.name = last loc; }
              module
            ] ++ map (d: if isFunction d.value then d.value else { config = d.value; }) defs;
          };
      in
      simple "submodule" "submodule" (v: isAttrs v || isFunction v)
      // {
        class = "";
        merge = loc: defs: (eval loc defs).config;
        getSubOptions = loc: (eval (loc ++ [ "<name>" ]) [ ]).options;
        inherit module;
        join =
          other:
          submodule {
            imports = [
              module
              other.module
            ];
          };
      };
  };

  lib = {
    inherit
      any
      attrNames
      attrValues
      concatLists
      concatMap
      concatStringsSep
      elem
      evalModules
      filter
      filterAttrs
      foldl'
      genAttrs
      hasInfix
      head
      length
      mapAttrs
      mapAttrsToList
      mkIf
      mkMerge
      mkOptionType
      mkOverride
      optional
      optionalAttrs
      toList
      types
      ;
    mkOption = o: o // { _type = "option"; };
    literalExpression = text: {
      _type = "literalExpression";
      inherit text;
    };
    literalMD = text: {
      _type = "literalMD";
      inherit text;
    };
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    concatStrings = concatStringsSep "";
    optionalString = yes: text: if yes then text else "";
    versionAtLeast = a: b: builtins.compareVersions a b >= 0;
    escapeShellArgs = concatStringsSep " ";
  };
in
lib
