"""Messages through a folder, for the embedded default: each is there as a whole, or not yet.

Kombu opens a message under its final name and then writes it. A worker that looks in between takes
an empty file, cannot read it, and ends.
"""

from pathlib import Path
from time import monotonic_ns
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        """Write the message beside its place, and rename it there (rename(2) is atomic).

        Raises ChannelError if the folder takes nothing.
        """
        name = f"{monotonic_ns():020}_{uuid4()}.{queue}.msg"  # they are taken in this order
        place = Path(self.data_folder_out) / name
        part = place.with_name(f"{name}.part")
        try:
            part.write_text(dumps(payload), encoding="utf-8")
            part.rename(place)
        except OSError as error:
            raise ChannelError(f"Cannot add {str(place)!r}") from error


class Transport(filesystem.Transport):
    Channel = Channel
