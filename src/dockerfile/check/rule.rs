//! The rules.

/// Something that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rule {
    /// Its name, as `# check=skip=` takes it.
    pub name: &'static str,
    /// What it asks for.
    pub description: &'static str,
    /// Where it comes from, and so when it is looked at.
    pub origin: Origin,
}

/// Where a rule comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// Docker's build checks (Docker docs, "Build checks"): looked at in every build.
    Documented,
    /// Docker's experimental checks: looked at in builds only where the file asks for them.
    Experimental,
    /// This program's own: what a good image asks for. Looked at by `imgbuild check` alone.
    Own,
}

const fn documented(name: &'static str, description: &'static str) -> Rule {
    Rule { name, description, origin: Origin::Documented }
}

const fn own(name: &'static str, description: &'static str) -> Rule {
    Rule { name, description, origin: Origin::Own }
}

/// One of the names below stands for one rule.
pub(super) const STAGE_NAME_CASING: Rule = documented("StageNameCasing", "names of stages are lower case");
pub(super) const FROM_AS_CASING: Rule = documented("FromAsCasing", "`AS` has the case of its `FROM`");
pub(super) const NO_EMPTY_CONTINUATION: Rule =
    documented("NoEmptyContinuation", "a continued instruction has no empty lines");
pub(super) const CONSISTENT_INSTRUCTION_CASING: Rule =
    documented("ConsistentInstructionCasing", "all instructions have one case");
pub(super) const DUPLICATE_STAGE_NAME: Rule =
    documented("DuplicateStageName", "each stage has a name of its own");
pub(super) const RESERVED_STAGE_NAME: Rule =
    documented("ReservedStageName", "no stage is called `scratch` or `context`");
pub(super) const JSON_ARGS_RECOMMENDED: Rule = documented(
    "JSONArgsRecommended",
    "CMD and ENTRYPOINT are JSON arrays, so that signals reach the program",
);
pub(super) const MAINTAINER_DEPRECATED: Rule =
    documented("MaintainerDeprecated", "a label, not MAINTAINER, says who made the image");
pub(super) const UNDEFINED_ARG_IN_FROM: Rule =
    documented("UndefinedArgInFrom", "FROM uses arguments that are declared before the first FROM");
pub(super) const WORKDIR_RELATIVE_PATH: Rule =
    documented("WorkdirRelativePath", "the first WORKDIR is absolute, whatever the base's is");
pub(super) const UNDEFINED_VAR: Rule =
    documented("UndefinedVar", "variables are defined where they are used");
pub(super) const MULTIPLE_INSTRUCTIONS_DISALLOWED: Rule = documented(
    "MultipleInstructionsDisallowed",
    "a stage has one CMD, one ENTRYPOINT and one HEALTHCHECK, of which the last would count",
);
pub(super) const LEGACY_KEY_VALUE_FORMAT: Rule =
    documented("LegacyKeyValueFormat", "ENV and LABEL have `=` between name and value");
pub(super) const REDUNDANT_TARGET_PLATFORM: Rule =
    documented("RedundantTargetPlatform", "the target's platform need not be asked for");
pub(super) const SECRETS_USED_IN_ARG_OR_ENV: Rule = documented(
    "SecretsUsedInArgOrEnv",
    "secrets are neither arguments nor environment: both stay in the image",
);
pub(super) const INVALID_DEFAULT_ARG_IN_FROM: Rule = documented(
    "InvalidDefaultArgInFrom",
    "the defaults of arguments give FROM an image, without any --build-arg",
);
pub(super) const FROM_PLATFORM_FLAG_CONST_DISALLOWED: Rule = documented(
    "FromPlatformFlagConstDisallowed",
    "a stage is for the platform asked for, not for a fixed one",
);
pub(super) const COPY_IGNORED_FILE: Rule = Rule {
    name: "CopyIgnoredFile",
    description: "what is copied is not excluded by the ignore file",
    origin: Origin::Experimental,
};
pub(super) const INVALID_DEFINITION_DESCRIPTION: Rule = Rule {
    name: "InvalidDefinitionDescription",
    description: "a comment right above a stage or an argument begins with its name",
    origin: Origin::Experimental,
};
pub(super) const EXPOSE_PROTO_CASING: Rule =
    documented("ExposeProtoCasing", "protocols of EXPOSE are lower case");
pub(super) const EXPOSE_INVALID_FORMAT: Rule = documented(
    "ExposeInvalidFormat",
    "EXPOSE names ports of the container, neither addresses nor the host's",
);

pub(super) const NON_ROOT_USER: Rule = own("NonRootUser", "the image does not run as root");
pub(super) const PINNED_BASE: Rule =
    own("PinnedBase", "a base has a tag that says its version (with a digit in it), or a digest");
pub(super) const HEALTHCHECK_MISSING: Rule =
    own("HealthcheckMissing", "an image that serves a port says how to find out whether it is well");
pub(super) const PACKAGE_CACHE_CLEANED: Rule =
    own("PackageCacheCleaned", "package managers leave no lists and caches in the image");
pub(super) const SECRET_FILE_COPIED: Rule =
    own("SecretFileCopied", "no keys and no files of secrets are copied into the image");
pub(super) const DOCKERIGNORE_MISSING: Rule =
    own("DockerignoreMissing", "where the whole context is copied, an ignore file says what is not");

impl Rule {
    /// All of them.
    pub const ALL: [Self; 27] = [
        STAGE_NAME_CASING,
        FROM_AS_CASING,
        NO_EMPTY_CONTINUATION,
        CONSISTENT_INSTRUCTION_CASING,
        DUPLICATE_STAGE_NAME,
        RESERVED_STAGE_NAME,
        JSON_ARGS_RECOMMENDED,
        MAINTAINER_DEPRECATED,
        UNDEFINED_ARG_IN_FROM,
        WORKDIR_RELATIVE_PATH,
        UNDEFINED_VAR,
        MULTIPLE_INSTRUCTIONS_DISALLOWED,
        LEGACY_KEY_VALUE_FORMAT,
        REDUNDANT_TARGET_PLATFORM,
        SECRETS_USED_IN_ARG_OR_ENV,
        INVALID_DEFAULT_ARG_IN_FROM,
        FROM_PLATFORM_FLAG_CONST_DISALLOWED,
        COPY_IGNORED_FILE,
        INVALID_DEFINITION_DESCRIPTION,
        EXPOSE_PROTO_CASING,
        EXPOSE_INVALID_FORMAT,
        NON_ROOT_USER,
        PINNED_BASE,
        HEALTHCHECK_MISSING,
        PACKAGE_CACHE_CLEANED,
        SECRET_FILE_COPIED,
        DOCKERIGNORE_MISSING,
    ];
}
