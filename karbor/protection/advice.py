# SPDX-License-Identifier: Apache-2.0
"""What can a human do about a failure whose author did not say?"""

from karbor.model import errors

#: By kind of error, the most special ones first.
_ADVICE: tuple[tuple[type[errors.KarborError], str], ...] = (
    (errors.BankFull, "give the bank more room, or delete checkpoints and clean the bank up; then try again"),
    (errors.KeyDestroyed, "use a copy in a bank where the key of the project still is, if there is one"),
    (errors.KeyManagerUnavailable, "let the operator look at the key manager and at the way to it; then try again"),
    (errors.KeyUnavailable, "let the operator put the master key file of this installation back in its place"),
    (errors.BankUnavailable, "let the operator look at the bank and at the way to it; then try again"),
    (errors.HypervisorUnavailable, "let the operator look at the hypervisor; then try again"),
    (errors.WrittenBadly, "let the operator look at the bank: it loses or changes what it is given; then try again"),
    (errors.IntegrityError, "use another checkpoint or a copy of this one, and let the operator check the bank"),
    (errors.ResourceNotFound, "take the resource out of the plan, or bring it back; then try again"),
    (errors.ObjectNotFound, "let the operator check that the bank is the one that the provider used before"),
    (errors.Cancelled, "begin it again where it is still wanted"),
    (errors.ConfigurationError, "let the operator mend the settings; the log of karbor-protection says more"),
    (errors.InvalidInput, "change what was asked for, as the cause says; then try again"),
    (errors.NotSupported, "leave out what is not supported, or use another provider"),
    (errors.Conflict, "look at the state of what the cause names; then try again"),
    (errors.NotFound, "check that what the cause names is still there"),
)
_INTERNAL = "let the operator look into the log of karbor-protection"


def advice_on(fault: BaseException) -> str:
    """The next action; never empty."""
    if isinstance(fault, errors.KarborError):
        if fault.next_action:
            return fault.next_action
        for kind, text in _ADVICE:
            if isinstance(fault, kind):
                return text
        if not fault.permanent:
            return "try again"
    return _INTERNAL
