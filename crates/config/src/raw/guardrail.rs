//! `guardrails`: content rules and tool policies.

#![expect(dead_code, reason = "decoding checks the form; nothing uses the values yet")]

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

/// Content rules.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Guardrails {
    /// Default: true, if the section is there.
    pub(crate) enabled: Option<bool>,
    /// Built-in patterns to leave out.
    pub(crate) disabled_patterns: Option<Vec<String>>,
    /// Patterns of one's own.
    pub(crate) custom_patterns: Option<Vec<CustomPattern>>,
    /// What happens to content on its way to the provider, by built-in pattern.
    pub(crate) upgoing: Option<IndexMap<String, Action>>,
    /// What happens to content on its way to the agent, by built-in pattern.
    pub(crate) downgoing: Option<IndexMap<String, Action>>,
    /// The same, by custom pattern.
    pub(crate) custom_upgoing: Option<IndexMap<String, Action>>,
    /// The same, by custom pattern.
    pub(crate) custom_downgoing: Option<IndexMap<String, Action>>,
    /// What a refusal tells.
    pub(crate) block_message: Option<BlockMessage>,
    /// What tools may be called with what.
    pub(crate) tools: Option<ToolPolicies>,
}

/// What happens where a pattern matches.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Action {
    Warn,
    Redact,
    Block,
}

/// A pattern of one's own.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomPattern {
    /// What the rules call it.
    #[schemars(required)]
    pub(crate) name: Option<String>,
    /// A regular expression.
    pub(crate) regex: Option<String>,
    /// Same as `regex`.
    pub(crate) pattern: Option<String>,
    /// Default: both.
    pub(crate) direction: Option<Direction>,
    /// What happens where it matches.
    pub(crate) action: Option<Action>,
}

/// To the provider, to the agent, or both.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    Upgoing,
    Downgoing,
    Both,
}

/// What a refusal tells.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlockMessage {
    /// Which pattern matched.
    pub(crate) include_details: Option<bool>,
    /// Where to read more.
    pub(crate) include_help_link: Option<bool>,
}

/// What tools may be called with what.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolPolicies {
    /// Default: true, if the section is there.
    pub(crate) enabled: Option<bool>,
    /// By provider.
    pub(crate) providers: Option<IndexMap<String, ToolPolicy>>,
}

/// The rules for one provider's tools.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolPolicy {
    /// Which tools.
    pub(crate) filter: Option<Filter>,
    /// Which parameters.
    pub(crate) param_restrictions: Option<Restrictions>,
}

/// Names that are allowed or denied; denial wins.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Absent: all.
    pub(crate) allow: Option<Vec<String>>,
    /// Absent: none.
    pub(crate) deny: Option<Vec<String>>,
}

/// Rules over parameters.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Restrictions {
    /// By tool.
    pub(crate) rules: Option<IndexMap<String, ParameterRule>>,
}

/// A rule over one tool's parameters.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ParameterRule {
    /// Absent: all.
    pub(crate) allow: Option<Vec<String>>,
    /// Absent: none.
    pub(crate) deny: Option<Vec<String>>,
    /// What happens to a denied parameter. Default: reject.
    pub(crate) action: Option<ParameterAction>,
}

/// What happens to a denied parameter.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParameterAction {
    Strip,
    Reject,
}
