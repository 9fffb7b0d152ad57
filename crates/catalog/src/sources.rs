//! The files of models, one for each provider that has one.
//!
//! Written by `scripts/update_catalog.py`, as are the files.

/// Provider ids, sorted, with the text of their files.
pub(crate) const MODELS: &[(&str, &str)] = &[
    ("alibaba", include_str!("../data/models/alibaba.json")),
    ("anthropic", include_str!("../data/models/anthropic.json")),
    ("aws-bedrock", include_str!("../data/models/aws-bedrock.json")),
    ("azure", include_str!("../data/models/azure.json")),
    ("cerebras", include_str!("../data/models/cerebras.json")),
    ("deepseek", include_str!("../data/models/deepseek.json")),
    ("fireworks", include_str!("../data/models/fireworks.json")),
    ("gmicloud", include_str!("../data/models/gmicloud.json")),
    ("google", include_str!("../data/models/google.json")),
    ("groq", include_str!("../data/models/groq.json")),
    ("minimax", include_str!("../data/models/minimax.json")),
    ("mistral", include_str!("../data/models/mistral.json")),
    ("moonshotai", include_str!("../data/models/moonshotai.json")),
    ("novita", include_str!("../data/models/novita.json")),
    ("openai", include_str!("../data/models/openai.json")),
    ("opencode-go", include_str!("../data/models/opencode-go.json")),
    ("openrouter", include_str!("../data/models/openrouter.json")),
    ("tencent", include_str!("../data/models/tencent.json")),
    ("together", include_str!("../data/models/together.json")),
    ("vertex", include_str!("../data/models/vertex.json")),
    ("xai", include_str!("../data/models/xai.json")),
    ("xiaomi", include_str!("../data/models/xiaomi.json")),
    ("zai", include_str!("../data/models/zai.json")),
];
