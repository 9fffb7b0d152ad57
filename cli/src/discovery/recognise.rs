//! Pure: what a model server's answers say about it.

use serde_json::Value;

use super::{FoundModel, Kind};

/// The models of a server of this kind, if these are the answers of one. `answers` are those to its
/// questions, in their order.
pub(super) fn models(kind: Kind, answers: &[Value]) -> Option<Vec<FoundModel>> {
    let models = match (kind, answers) {
        (Kind::Ollama, [version, tags]) => ollama(version, tags),
        (Kind::LmStudio, [list]) => lm_studio(list),
        (Kind::Vllm, [list]) => openai_list(list, "vllm"),
        (Kind::LlamaCpp, [list]) => openai_list(list, "llamacpp"),
        _ => None,
    }?;
    (!models.is_empty()).then_some(models)
}

fn ollama(version: &Value, tags: &Value) -> Option<Vec<FoundModel>> {
    version.get("version")?.as_str()?;
    let models = tags.get("models")?.as_array()?;
    models.iter().map(|model| found(model.get("name")?, None)).collect()
}

fn lm_studio(list: &Value) -> Option<Vec<FoundModel>> {
    let models = list.get("data")?.as_array()?;
    // Its own listing says of each model what it is and whether it is loaded; nobody else's does.
    let known = |model: &Value| model.get("type").is_some() && model.get("state").is_some();
    if !models.iter().all(known) {
        return None;
    }
    let context = |model: &Value| {
        let loaded = model.get("loaded_context_length").and_then(Value::as_u64);
        loaded.or_else(|| model.get("max_context_length").and_then(Value::as_u64))
    };
    models.iter().map(|model| found(model.get("id")?, context(model))).collect()
}

fn openai_list(list: &Value, owner: &str) -> Option<Vec<FoundModel>> {
    let models = list.get("data")?.as_array()?;
    let context = |model: &Value| {
        let own = model.get("max_model_len").and_then(Value::as_u64);
        let meta = model.get("meta");
        own.or_else(|| meta?.get("n_ctx").and_then(Value::as_u64))
            .or_else(|| meta?.get("n_ctx_train").and_then(Value::as_u64))
    };
    let is_of_it = |model: &&Value| model.get("owned_by").and_then(Value::as_str) == Some(owner);
    models.iter().filter(is_of_it).map(|model| found(model.get("id")?, context(model))).collect()
}

fn found(id: &Value, max_input_tokens: Option<u64>) -> Option<FoundModel> {
    let id = id.as_str().filter(|id| !id.is_empty())?.to_owned();
    Some(FoundModel { id, max_input_tokens })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn model(id: &str, max_input_tokens: Option<u64>) -> FoundModel {
        FoundModel { id: id.to_owned(), max_input_tokens }
    }

    #[test]
    fn each_kind_is_known_by_its_own_answers() {
        let ollama = [
            json!({"version": "0.9.1"}),
            json!({"models": [{"name": "llama3.1:8b", "model": "llama3.1:8b", "size": 1}]}),
        ];
        let lm_studio = [json!({"object": "list", "data": [
            {"id": "qwen", "object": "model", "type": "llm", "state": "loaded",
             "max_context_length": 32768, "loaded_context_length": 4096}]})];
        let vllm = [json!({"data": [{"id": "a/b", "owned_by": "vllm", "max_model_len": 8192}]})];
        let llama_cpp = [json!({"object": "list", "models": [], "data": [
            {"id": "m.gguf", "owned_by": "llamacpp", "meta": {"n_ctx_train": 131_072}}]})];
        let cases: [(Kind, &[Value], FoundModel); 4] = [
            (Kind::Ollama, &ollama, model("llama3.1:8b", None)),
            (Kind::LmStudio, &lm_studio, model("qwen", Some(4096))),
            (Kind::Vllm, &vllm, model("a/b", Some(8192))),
            (Kind::LlamaCpp, &llama_cpp, model("m.gguf", Some(131_072))),
        ];
        for (kind, answers, expected) in &cases {
            assert_eq!(models(*kind, answers), Some(vec![expected.clone()]), "{kind:?}");
        }
        for (kind, _, _) in &cases {
            for (other, answers, _) in cases.iter().filter(|(other, ..)| other != kind) {
                assert_eq!(models(*kind, answers), None, "{other:?} is not {kind:?}");
            }
        }
    }

    #[test]
    fn other_servers_are_not_taken_for_one() {
        let others = [
            json!({}),
            json!([]),
            json!({"data": []}),
            json!({"data": [{"id": "gpt-4o", "owned_by": "openai"}]}),
            json!({"data": [{"id": 1, "owned_by": "vllm"}]}),
            json!({"version": "1.0"}),
        ];
        for other in &others {
            for kind in Kind::ALL {
                let answers = vec![other.clone(); kind.questions().len()];
                assert_eq!(models(kind, &answers), None, "{other} is not {kind:?}");
            }
        }
    }
}
