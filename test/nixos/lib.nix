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

  # load gives modules with all that they import, as { options; config; }.
  load =
    args: module:
    let
      m = if builtins.isPath module || isString module then import module else module;
      # Only what the function names, so that nothing else is looked at.
      called = if isFunction m then m (mapAttrs (name: _: args.${name}) (functionArgs m) // (if functionArgs m == { } then args else { })) else m;
      whole = called ? config || called ? options || called ? imports;
    in
    concatMap (load args) (called.imports or [ ])
    ++ [
      {
        options = called.options or { };
        config = if whole then called.config or { } else called;
      }
    ];

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
      loaded = concatMap (load args) modules;
      result = build prefix (map (m: m.options) loaded) (map (m: m.config) loaded);
    in
    result;

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
      check = _: true;
      merge = one;
      getSubOptions = _: { };
    }
    // t;
  simple =
    name: description: check:
    mkOptionType { inherit name description check; };
  nested = text: if builtins.match ".* .*" text != null then "(${text})" else text;

  types = rec {
    bool = simple "bool" "boolean" isBool;
    str = simple "str" "string" isString;
    int = simple "int" "signed integer" isInt;
    raw = simple "raw" "raw value" (_: true);
    package = simple "package" "package" (v: v ? outPath);
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
      simple "enum" "one of ${concatStringsSep ", " (map builtins.toJSON values)}" (v: elem v values);
    nullOr =
      t:
      t
      // {
        description = "null or ${nested t.description}";
        check = v: v == null || t.check v;
        merge =
          loc: defs: if all (d: d.value == null) defs then null else t.merge loc (filter (d: d.value != null) defs);
      };
    either =
      a: b:
      simple "either" "${nested a.description} or ${nested b.description}" (v: a.check v || b.check v)
      // {
        merge =
          loc: defs:
          if all (d: a.check d.value) defs then a.merge loc defs else b.merge loc defs;
      };
    oneOf = ts: foldl' either (head ts) (tail ts);
    listOf =
      t:
      simple "listOf" "list of ${nested t.description}" (v: isList v && all t.check v)
      // {
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
      simple "attrsOf" "attribute set of ${nested t.description}" isAttrs
      // {
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
            specialArgs.name = last loc;
            modules = [ module ] ++ map (d: if isFunction d.value then d.value else { config = d.value; }) defs;
          };
      in
      simple "submodule" "submodule" (v: isAttrs v || isFunction v)
      // {
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
    mkDefault = mkOverride 1000;
    mkForce = mkOverride 50;
    concatStrings = concatStringsSep "";
    optionalString = yes: text: if yes then text else "";
    versionAtLeast = a: b: builtins.compareVersions a b >= 0;
    escapeShellArgs = concatStringsSep " ";
  };
in
lib
