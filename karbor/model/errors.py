# SPDX-License-Identifier: Apache-2.0
"""Which errors exist, what does each one mean, and what may a caller be told?

    KarborError
      InvalidInput                400  the request is wrong; the user can mend it
      Unauthorized                401
      Forbidden                   403
      NotFound                    404
        ResourceNotFound               a protected resource (domain, disk, server) is not there
        ObjectNotFound                 an object is not in the bank
      Conflict                    409  the state of the thing does not allow this now
        CheckpointLocked               a lock or a hold keeps this checkpoint
        ObjectLocked                   the bank keeps this object until its time has passed
      PreconditionFailed          412  the request has a condition (If-Match) that does not hold
      TooLarge                    413  body or quota
        TooMany                        more requests than one client may send; after a while they are taken again
      NoSuchRange                 416  a range of a file begins behind its end
      NotSupported                501
      Unavailable                 503  try again later
        BankUnavailable                the bank cannot be reached, or is not the bank it was
          BankFull                     no room left in the bank
        WriteLeaseLost                 the lease of a writer in the bank ran out before it had stored everything
        HypervisorUnavailable
        KeyUnavailable                 the key that opens this data is missing
          KeyDestroyed          409  it was destroyed on purpose, for good
          KeyManagerUnavailable        who keeps it does not answer just now
      IntegrityError              500  stored bytes are not what was stored
        WrittenBadly                   what was just written is not in the bank as it was; a new attempt may succeed
      StepFailed                  500  one step of a flow failed; carries resource, step, cause, next action
      CaptureLost                 500  the frozen view of a running guest went away; a new attempt may succeed
      Cancelled                   409  somebody asked for the end of this work
      LeaseLost                   409  another worker owns this job now; stop without writing
      ConfigurationError          500  the operator must change a setting before this can work

Each class says whether trying again may help (``permanent``) and the code that the API shows. ``message`` is for users
and never holds internals; ``detail`` is for operators (logs) and says cause and next action.
"""

from collections.abc import Mapping


class KarborError(Exception):
    """Something went wrong in Karbor. Subclasses say what."""

    code = "internal"
    status = 500
    permanent = True

    def __init__(self, message: str = "", *, detail: str = "", next_action: str = "") -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.detail = detail
        self.next_action = next_action
        super().__init__(self.message)

    def operator_text(self) -> str:
        """One line for logs: what, why, what to do next."""
        parts = [
            self.message,
            self.detail and f"cause: {self.detail}",
            self.next_action and f"next: {self.next_action}",
        ]
        return "; ".join(part for part in parts if part)


class InvalidInput(KarborError):
    """The request is not valid."""

    code, status = "invalid_input", 400


class Unauthorized(KarborError):
    """Authentication is required."""

    code, status = "unauthorized", 401


class Forbidden(KarborError):
    """You are not allowed to do this."""

    code, status = "forbidden", 403


class NotFound(KarborError):
    """There is no such thing."""

    code, status = "not_found", 404


class ResourceNotFound(NotFound):
    """The resource does not exist."""

    code = "resource_not_found"


class ObjectNotFound(NotFound):
    """The object is not in the bank."""

    code = "object_not_found"


class Conflict(KarborError):
    """The present state does not allow this."""

    code, status = "conflict", 409


class CheckpointLocked(Conflict):
    """This checkpoint is locked."""

    code = "checkpoint_locked"


class ObjectLocked(Conflict):
    """The bank keeps this object until its time has passed."""

    code = "object_locked"


class PreconditionFailed(KarborError):
    """The thing has changed since you saw it."""

    code, status = "precondition_failed", 412


class TooLarge(KarborError):
    """The request is larger than allowed."""

    code, status = "too_large", 413


class TooMany(TooLarge):
    """There are too many requests. Try again later."""

    code, permanent = "too_many", False

    def __init__(self, message: str = "", *, retry_after: int = 1, detail: str = "", next_action: str = "") -> None:
        super().__init__(message, detail=detail, next_action=next_action)
        self.retry_after = retry_after  # seconds


class NoSuchRange(KarborError):
    """The file does not reach that far."""

    code, status = "no_such_range", 416

    def __init__(self, message: str = "", *, size: int = 0, detail: str = "", next_action: str = "") -> None:
        super().__init__(message, detail=detail, next_action=next_action)
        self.size = size  # bytes


class NotSupported(KarborError):
    """This is not supported."""

    code, status = "not_supported", 501


class Unavailable(KarborError):
    """The service cannot do this just now. Try again later."""

    code, status, permanent = "unavailable", 503, False


class BankUnavailable(Unavailable):
    """The bank of this provider cannot be reached."""

    code = "bank_unavailable"


class BankFull(BankUnavailable):
    """The bank of this provider has no room left."""

    code, permanent = "bank_full", True


class WriteLeaseLost(Unavailable):
    """The write lease in the bank ran out before everything was stored."""

    code = "write_lease_lost"


class HypervisorUnavailable(Unavailable):
    """The hypervisor cannot be reached."""

    code = "hypervisor_unavailable"


class KeyUnavailable(Unavailable):
    """The key that opens this data is not available."""

    code, permanent = "key_unavailable", True


class KeyDestroyed(KeyUnavailable):
    """The key of this project's data was destroyed: nobody can read it any more."""

    code, status = "key_destroyed", 409


class KeyManagerUnavailable(KeyUnavailable):
    """The key manager that keeps the master key cannot be reached."""

    code, permanent = "key_manager_unavailable", False


class IntegrityError(KarborError):
    """Stored data is damaged: what was read is not what was written."""

    code = "integrity"


class WrittenBadly(IntegrityError):
    """What was just written was read back from the bank, and it is not what was written."""

    code, permanent = "written_badly", False


class StepFailed(KarborError):
    """A step of the operation failed."""

    code = "step_failed"


class CaptureLost(KarborError):
    """The frozen view of the guest was lost before everything was read."""

    code, permanent = "capture_lost", False


class Cancelled(KarborError):
    """The operation was cancelled."""

    code, status = "cancelled", 409


class LeaseLost(KarborError):
    """Another worker owns this job now."""

    code, status, permanent = "lease_lost", 409, False


class ConfigurationError(KarborError):
    """The configuration does not allow this service to work."""

    code = "configuration"


def to_dict(fault: BaseException) -> dict[str, str]:
    """A fault as plain JSON, for the other processes of the service. What is not ours is told as an internal fault."""
    if not isinstance(fault, KarborError):
        return {"kind": KarborError.__name__, "message": "An internal fault.", "detail": repr(fault), "next_action": ""}
    told = {"message": fault.message, "detail": fault.detail, "next_action": fault.next_action}
    return {"kind": type(fault).__name__, **told}


def from_dict(data: Mapping[str, str]) -> KarborError:
    """The inverse of ``to_dict``; a kind that this release does not know is a KarborError."""
    found = globals().get(data["kind"])
    kind = found if isinstance(found, type) and issubclass(found, KarborError) else KarborError
    return kind(data["message"], detail=data["detail"], next_action=data["next_action"])
