"""What each part of a definition means, in the words of the pages: its form and its YAML."""

EXPLAINED = {
    "name": "As noun.verb, such as payments.refund. Agents propose it by this name, and it stays.",
    "sentence": "What reviewers read, with parameters in braces: Refund {amount} of charge "
    "{charge}. Free text an agent wrote cannot stand here.",
    "description": "What agents are told that this is for.",
    "origin": "Scheme, host and perhaps a port, such as https://api.example.com. Every request "
    "goes there and nowhere else.",
    "resource": "What conflicts and budgets are counted by, such as charges/{charge}.",
    "tier": "What a mistake would cost at least; rules may raise it.",
    "money": "The parameter that is the amount, so that money budgets and rules see it.",
    "people": "How many people one call reaches.",
    "parameters": "All that an agent fills in, each of a kind: text, identifier, choice, integer, "
    "boolean, decimal or money.",
    "authentication": "The header that says who a request is from, with a secret by its name.",
    "request": "The one request that writes: method, path, query, headers, and a body as form or "
    "as json. {charge} stands for a parameter, {amount.minor} for a part of one, {key} for our "
    "key; {{ and }} are braces.",
    "answers": "Which answers mean what, by status and perhaps by a value in the answer. Any "
    "other answer leaves the outcome unknown.",
    "reference": "Where an answer holds the provider's own name of the effect, such as /id.",
    "result": "What else of an answer is kept: a name, and where it stands.",
    "idempotency": "The header that takes our key, and for how many hours the provider honours "
    "it. An unclear write is then sent again under the same key.",
    "key": "How our key is written: format text or uuid, and its length.",
    "settling_seconds": "How long after an unclear answer its effect may still appear; 60.",
    "preview": "What is read before anything is written: a request that only reads, fields and "
    "where they stand, what must hold in them (requires), and what they hold afterwards (after).",
    "probe": "How the provider is asked afterwards what became of our key: found and absent "
    "answers, or a list of items of which one may be ours.",
    "undo": "The request that takes it back, with its own answers; {reference}, {result.x} and "
    "{before.x} stand for what the write returned and what stood there. Without one a person "
    "must always approve, for it cannot be taken back.",
    "example": "Parameters to show it with, and to try it with.",
}

ANSWERS = {
    "applied": "It was done.",
    "not_applied": "It was refused for good: the same call would be refused again.",
    "not_taken": "Nothing was taken; later may be better.",
    "stale": "What was there is no longer there: it is looked at again.",
    "unknown": "Says nothing about what was done, though it looks like one of the above.",
}

SKETCHES = {
    "preview": """request:
  path: /items/{item}
fields:
  price: /price
requires:
  price: ["10.00"]
after:
  price: "{price}"
""",
    "probe": """request:
  path: /orders
  query:
    reference: "{key}"
found: [200]
absent: [404]
reference: /id
""",
    "undo": """sentence: "Cancel refund {reference}"
request:
  method: POST
  path: /refunds/{reference}/cancel
answers:
  applied: [200]
  not_applied: [400, 404]
idempotency:
  header: Idempotency-Key
  hours: 24
""",
}
