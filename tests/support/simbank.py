# SPDX-License-Identifier: Apache-2.0
"""What does one process of the simulation see of a bank? Every call is a point, and may fail, be slow, or lie."""

from karbor.model import errors
from karbor.protection.watchedbank import kind
from karbor.sdk.bank import Bank, ObjectInfo

#: What a bank that lies may lose: what a protect reads back before it says that all is well.
LOSES = ("pack/", "index/", "stream/", "record/")


class SimBank(Bank):
    """Passes every call on to ``inner``, unless ``world.trouble(method, name)`` names a fault."""

    def __init__(self, inner, world, *, trusted=False):
        super().__init__(inner.settings)
        self.capabilities = inner.capabilities
        self.inner, self._world, self._trusted = inner, world, trusted

    def initialise(self):
        return self.inner.initialise()

    def identity(self):
        return self._call("identity", "", self.inner.identity)

    def put_if_absent(self, name, data):
        return self._call("put", name, lambda: self.inner.put_if_absent(name, data), data)

    def get(self, name, offset=0, length=None):
        return self._call("get", name, lambda: self.inner.get(name, offset, length))

    def stat(self, name):
        return self._call("stat", name, lambda: self.inner.stat(name))

    def list(self, prefix="", after="", limit=1000):
        return self._call("list", prefix, lambda: self.inner.list(prefix, after, limit))

    def delete(self, name):
        return self._call("delete", name, lambda: self.inner.delete(name))

    def _call(self, method, name, act, data=b""):
        world = self._world
        world.baton.point(f"bank:{method}-{kind(name)}")
        fault = world.trouble(method, name, trusted=self._trusted)
        if fault == "down":
            raise errors.BankUnavailable(detail="simulated")
        if fault == "full":
            raise errors.BankFull(detail="simulated")
        if fault == "slow":
            world.pass_time(10)
        if fault == "forgets":
            return True
        if fault == "cuts":
            return self.inner.put_if_absent(name, data[: len(data) // 2])
        answer = act()
        if fault == "late":
            raise errors.BankUnavailable(detail="simulated, after the call took effect")
        if fault == "doubles":
            act()
        return answer


class RecordFirstBank(Bank):
    """A wrong build: packs are put only after the record that needs them. Until then this process alone has them."""

    def __init__(self, inner):
        super().__init__(inner.settings)
        self.capabilities = inner.capabilities
        self.inner, self._held = inner, {}

    def initialise(self):
        return self.inner.initialise()

    def identity(self):
        return self.inner.identity()

    def put_if_absent(self, name, data):
        if "/pack/" in name:
            self._held[name] = bytes(data)
            return True
        made = self.inner.put_if_absent(name, data)
        if "/record/" in name:
            while self._held:
                self.inner.put_if_absent(*self._held.popitem())
        return made

    def get(self, name, offset=0, length=None):
        held = self._held.get(name)
        if held is None:
            return self.inner.get(name, offset, length)
        return held[offset:] if length is None else held[offset : offset + length]

    def stat(self, name):
        if name in self._held:
            return ObjectInfo(name, len(self._held[name]), 0.0)
        return self.inner.stat(name)

    def list(self, prefix="", after="", limit=1000):
        return self.inner.list(prefix, after, limit)

    def delete(self, name):
        self._held.pop(name, None)
        self.inner.delete(name)
