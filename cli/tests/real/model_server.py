"""A real OpenAI-compatible model server on CPU: llama.cpp's own, with a model made on the spot.

    python model_server.py DIRECTORY PORT        needs: pip install xllamacpp gguf numpy

The model has the llama architecture with attention and feed-forward set to zero, so that the next token depends
on the last one alone: it says readable words and stops. Everything around it (tokenizer, chat template, sampling,
streaming, usage) is the real server's. Prints `ready` when requests are served.
"""
import pathlib
import sys
import time

import numpy as np
import xllamacpp
from gguf import GGUFWriter, LlamaFileType, TokenType

WORDS = "the a router sends each request to your model and streams its tokens back with care over many small hops"
TEMPLATE = (
    "{%- for m in messages %}{{ '<|start|>' + m.role + '\\n' + (m.content or '') + '<|end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|start|>assistant\\n' }}{%- endif %}"
)


def vocabulary():
    """Tokens with their types: control, raw bytes, printable characters, words."""
    tokens = [("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL)]
    tokens += [(f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)]
    tokens += [("<|start|>", TokenType.CONTROL), ("<|end|>", TokenType.CONTROL)]
    tokens += [(chr(code), TokenType.NORMAL) for code in range(33, 127)]
    tokens += [("\u2581", TokenType.NORMAL), ("\n", TokenType.NORMAL)]
    tokens += [("\u2581" + word, TokenType.NORMAL) for word in WORDS.split()]
    return tokens


def write_model(path):
    tokens = vocabulary()
    texts = [text for text, _ in tokens]
    size = len(texts)
    end = texts.index("<|end|>")
    words = [index for index, (text, _) in enumerate(tokens) if text.startswith("\u2581") and len(text) > 1]
    width = -(-size // 64) * 64

    # logits[next, last]: any word may follow anything, and after a word the end is likely too.
    logits = np.full((size, size), -25.0, np.float32)
    logits[words, :] = np.random.default_rng(1).uniform(0, 2, (len(words), size))
    logits[end, words] = 1.4
    embedding = np.zeros((size, width), np.float32)
    embedding[np.arange(size), np.arange(size)] = 1
    output = np.zeros((size, width), np.float32)
    # The norm before the output scales a unit vector by the square root of the width.
    output[:, :size] = logits / np.sqrt(width)

    model = GGUFWriter(str(path), "llama")
    model.add_name("tiny")
    model.add_context_length(32768)
    model.add_embedding_length(width)
    model.add_block_count(1)
    model.add_feed_forward_length(64)
    model.add_head_count(width // 64)
    model.add_head_count_kv(1)
    model.add_layer_norm_rms_eps(1e-6)
    model.add_rope_dimension_count(64)
    model.add_vocab_size(size)
    model.add_file_type(LlamaFileType.ALL_F32)
    model.add_tokenizer_model("llama")
    model.add_tokenizer_pre("default")
    model.add_token_list(texts)
    model.add_token_scores([-float(index) for index in range(size)])
    model.add_token_types([kind for _, kind in tokens])
    model.add_bos_token_id(1)
    model.add_eos_token_id(end)
    model.add_unk_token_id(0)
    model.add_add_bos_token(True)
    model.add_add_eos_token(False)
    model.add_add_space_prefix(False)
    model.add_chat_template(TEMPLATE)
    model.add_tensor("token_embd.weight", embedding)
    model.add_tensor("output_norm.weight", np.ones(width, np.float32))
    model.add_tensor("output.weight", output)
    for name, shape in (("attn_q", (width, width)), ("attn_k", (64, width)), ("attn_v", (64, width)),
                        ("attn_output", (width, width)), ("ffn_gate", (64, width)), ("ffn_up", (64, width)),
                        ("ffn_down", (width, 64))):
        model.add_tensor(f"blk.0.{name}.weight", np.zeros(shape, np.float32))
    for name in ("attn_norm", "ffn_norm"):
        model.add_tensor(f"blk.0.{name}.weight", np.ones(width, np.float32))
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


def main():
    directory, port = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    path = directory / "tiny.gguf"
    write_model(path)
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = port
    parameters.n_ctx = 8192
    parameters.n_parallel = 2
    parameters.n_predict = 64
    parameters.cpuparams.n_threads = 1
    parameters.cpuparams_batch.n_threads = 1
    parameters.warmup = False
    parameters.use_jinja = True
    server = xllamacpp.Server(parameters)
    print("ready", server.listening_address, flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
