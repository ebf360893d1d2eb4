"""The shared cache in Redis: a help while it is there, and never missed when it is not.

What is cached here only saves work, so an outage reads as "nothing is remembered".
"""

import hashlib
import hmac
import logging
import pickle
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis import RedisError

from proposals.outage import of_redis

logger = logging.getLogger(__name__)
SEAL_BYTES = hashlib.sha256().digest_size


class SignedSerializer:
    """Python objects under our own seal: what others wrote to Redis is never unpickled."""

    def dumps(self, value: Any) -> int | bytes:
        if type(value) is int:  # Redis itself counts with these
            return value
        pickled = pickle.dumps(value)
        return self.seal(pickled) + pickled

    def loads(self, data: bytes) -> Any:
        if data.removeprefix(b"-").isdigit():
            return int(data)
        seal, pickled = data[:SEAL_BYTES], data[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self.seal(pickled)):
            return None
        return pickle.loads(pickled)

    def seal(self, pickled: bytes) -> bytes:
        key = hashlib.sha256(b"countersign.cache" + settings.SECRET_KEY.encode()).digest()
        return hmac.digest(key, pickled, "sha256")


class Client(RedisCacheClient):
    """Django's client, which asks nothing of a Redis that is down."""

    outage = of_redis

    def ask(self, question: Callable[[], Any], otherwise: Any) -> Any:
        """What Redis answers; `otherwise` when it does not, or did not a moment ago."""
        if self.outage.spares():
            return otherwise
        try:
            answer = question()
        except (RedisError, OSError) as error:
            self.outage.began()
            logger.warning("The cache does not answer: %r", error)
            return otherwise
        self.outage.ended()
        return answer

    def add(self, key: Any, value: Any, timeout: Any) -> bool:
        return self.ask(lambda: super(Client, self).add(key, value, timeout), True)

    def get(self, key: Any, default: Any) -> Any:
        found = self.ask(lambda: super(Client, self).get(key, None), None)
        return default if found is None else found

    def set(self, key: Any, value: Any, timeout: Any) -> None:
        self.ask(lambda: super(Client, self).set(key, value, timeout), None)

    def touch(self, key: Any, timeout: Any) -> bool:
        return self.ask(lambda: super(Client, self).touch(key, timeout), False)

    def delete(self, key: Any) -> bool:
        return self.ask(lambda: super(Client, self).delete(key), False)

    def get_many(self, keys: Any) -> dict[Any, Any]:
        return self.ask(lambda: super(Client, self).get_many(keys), {})

    def has_key(self, key: Any) -> bool:
        return self.ask(lambda: super(Client, self).has_key(key), False)

    def incr(self, key: Any, delta: int) -> int:
        """What is not remembered counts from nothing."""
        return self.ask(lambda: super(Client, self).incr(key, delta), delta)

    def set_many(self, data: Any, timeout: Any) -> None:
        self.ask(lambda: super(Client, self).set_many(data, timeout), None)

    def delete_many(self, keys: Any) -> None:
        self.ask(lambda: super(Client, self).delete_many(keys), None)

    def forget(self, pattern: str) -> None:
        def delete_all() -> None:
            client = self.get_client(write=True)
            for key in client.scan_iter(match=pattern, count=1000):
                client.delete(key)

        self.ask(delete_all, None)


class Cache(RedisCache):
    _cache: Client

    def __init__(self, server: Any, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        self._class = Client

    def clear(self) -> None:
        """Forget what is ours. The rest of that Redis is somebody else's, or the queue."""
        self._cache.forget(self.make_key("*"))
