"""A configured action: what the product calls, made from nothing but a definition.

Its undo is a second, internal action, `<name>.undo`, whose parameters are those of the write and
what the write returned.
"""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter

from proposals.exceptions import InvalidParams
from proposals.http_actions import parameters, requests, templating, undoing
from proposals.http_actions.base import SAMPLE_KEY, HttpWrite, Image
from proposals.http_actions.definition import Definition
from proposals.http_actions.templating import Unfit
from proposals.registry import Call


class ConfiguredAction(HttpWrite):
    """The write itself: on the menu, unless it is switched off."""

    def __init__(self, definition: Definition, *, named: str, closed: str = "") -> None:
        super().__init__(definition, definition, named=named, closed=closed)
        self.name, self.title = definition.name, definition.sentence
        self.is_reversible = definition.undo is not None
        self.shape = parameters.adapter_of(definition.parameters, definition.name)

    def adapter(self) -> TypeAdapter:
        return self.shape

    def validate(self, params: Any) -> dict[str, Any]:
        """The parameters, each of its kind and fit for every place that it goes to."""
        valid = super().validate(params)
        wrong = list(self.misfits(valid))
        if wrong:
            raise InvalidParams(f"The parameters do not fit {self.name}.", errors=wrong)
        return valid

    def misfits(self, params: dict[str, Any]) -> Iterator[dict[str, str]]:
        values = {**self.values(params), "key": SAMPLE_KEY.replace(" ", "-")}
        write = self.write
        made = [part.request for part in (write, write.preview, write.probe) if part is not None]
        for request in made:
            try:
                requests.make(self.defined, request, values)
            except Unfit as error:
                place = f"/params/{error.slot.partition('.')[0]}"
                yield {"pointer": place, "code": "unfit", "detail": str(error)}

    def sentence(self, params: dict[str, Any]) -> str:
        words = parameters.words_of(self.defined.parameters, params)
        return str(templating.text(self.defined.sentence, words))

    def compensation(
        self, params: dict[str, Any], fields: Image, reference: str, result: dict[str, Any]
    ) -> Call | None:
        return undoing.call(self, params, fields, reference, result)

    def example(self) -> dict[str, Any]:
        if not self.defined.example:
            return super().example()
        return self.defined.example
