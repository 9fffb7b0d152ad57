"""The official OpenAI client against a router: chat and responses, whole and streamed.

    python openai_client.py BASE_URL API_KEY MODEL        needs: pip install openai

Prints one JSON object of what came back; any surprise is an exception.
"""
import json
import sys

import openai


def main():
    base_url, key, model = sys.argv[1:]
    client = openai.OpenAI(base_url=base_url, api_key=key, max_retries=0, timeout=60)
    messages = [{"role": "user", "content": "Say something."}]
    seen = {"models": [listed.id for listed in client.models.list()]}

    whole = client.chat.completions.create(model=model, messages=messages, max_tokens=16)
    seen["chat"] = {"text": whole.choices[0].message.content, "usage": whole.usage.model_dump(exclude_none=True)}

    text, usage = "", None
    stream = client.chat.completions.create(
        model=model, messages=messages, max_tokens=16, stream=True, stream_options={"include_usage": True}
    )
    for chunk in stream:
        usage = chunk.usage or usage
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    seen["chat_stream"] = {"text": text, "usage": usage.model_dump(exclude_none=True)}

    text, surprise = "", None
    for chunk in client.chat.completions.create(model=model, messages=messages, max_tokens=16, stream=True):
        surprise = chunk.usage or surprise
        text += "".join(choice.delta.content or "" for choice in chunk.choices)
    seen["chat_stream_without_usage"] = {"text": text, "usage": surprise}

    answer = client.responses.create(model=model, input="Say something.", max_output_tokens=16)
    seen["responses"] = {"text": answer.output_text, "usage": answer.usage.model_dump()}

    text = ""
    for event in client.responses.create(model=model, input="Say something.", max_output_tokens=16, stream=True):
        if event.type == "response.output_text.delta":
            text += event.delta
    seen["responses_stream"] = {"text": text}

    try:
        client.chat.completions.create(model="no-such-model", messages=messages)
    except openai.NotFoundError as error:
        seen["unknown_model"] = {"code": error.code, "message": error.message}
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
