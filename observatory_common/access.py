"""Who is calling, what they may do, and the one gate through which every remote call goes."""

from __future__ import annotations

import inspect
import ipaddress
import logging
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from observatory_common.arguments import shown
from observatory_common.audit import Audit
from observatory_common.errors import (
    CommandFailed,
    CommandStatus,
    InvalidArgument,
    InvalidControlIP,
    ObservatoryError,
    UnknownMethod,
)

if TYPE_CHECKING:
    from observatory_common.directory import Directory

VIEW = "view"
CONTROL = "control"
GATEWAY = "gateway"

_LEVEL = "_observatory_access"
_LOCAL = "local"
_F = TypeVar("_F", bound=Callable[..., Any])

log = logging.getLogger("access")


def view(method: _F) -> _F:
    """Declare a remote method that only reads; whoever may view may call it, and clients may repeat it."""
    setattr(method, _LEVEL, VIEW)
    return method


def control(method: _F) -> _F:
    """Declare a remote method that changes something. Its first parameter after `self` is `caller`."""
    setattr(method, _LEVEL, CONTROL)
    return method


def local(method: _F) -> _F:
    """Declare a public method that is no remote one; overriding it needs no further declaration."""
    setattr(method, _LEVEL, _LOCAL)
    return method


@dataclass(frozen=True)
class Caller:
    """Who is at the other end of a connection, settled once, when it was made.

    `machines` are the names of the registry that hold its address (or its certificate's `subject`). `on_behalf_of` is
    what a gateway says about its own user: it is written down and grants nothing.
    """

    address: str
    machines: frozenset[str]
    rights: frozenset[str]
    subject: str | None = None
    on_behalf_of: Mapping[str, str] | None = None

    def __str__(self) -> str:
        where = self.address if self.subject is None else f"{shown(self.subject)} at {self.address}"
        who = f"{'+'.join(sorted(self.machines)) or 'unknown machine'} ({where})"
        if self.on_behalf_of is None:
            return who
        return f"{who} for {self.on_behalf_of['user']} ({self.on_behalf_of['address']})"


class Policy:
    """Which machines may view, control, or speak for their own users. `view_machines` None lets everybody view."""

    def __init__(
        self,
        control_machines: Collection[str],
        view_machines: Collection[str] | None,
        gateway_machines: Collection[str],
        directory: Directory,
    ) -> None:
        self._control = frozenset(control_machines)
        self._view = None if view_machines is None else frozenset(view_machines)
        self._gateway = frozenset(gateway_machines)
        self._directory = directory

    def rights(self, machines: frozenset[str]) -> frozenset[str]:
        """What a caller that is all of these machines may do: its rights add up."""
        rights = set()
        if machines & self._control:
            rights |= {CONTROL, VIEW}
        if machines & self._gateway:
            rights |= {GATEWAY, VIEW}
        if self._view is None or machines & self._view:
            rights.add(VIEW)
        return frozenset(rights)

    def caller_at(self, address: str) -> Caller:
        """The caller at the peer `address` of a connection (IPv4 in IPv6 is unwrapped, a scope id dropped)."""
        plain = plain_address(address)
        machines = self._directory.machines_at(plain)
        return Caller(plain, machines, self.rights(machines))

    def caller_with_subject(self, subject: str, address: str) -> Caller:
        """The caller whose verified certificate names `subject`; its address grants nothing."""
        machines = self._directory.machines_with_subject(subject)
        return Caller(plain_address(address), machines, self.rights(machines), subject)


def plain_address(address: str) -> str:
    """`address` without a scope id and, if it is an IPv4 address in IPv6 clothes, as IPv4. Raises ValueError."""
    parsed = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(parsed)


@dataclass(frozen=True)
class Member:
    """A remote method: `signature` is what a client passes, without `self` and `caller`."""

    name: str
    level: str
    function: Callable[..., Any]
    signature: inspect.Signature
    positional: int  # how many arguments may be given by position
    required: int  # how many of these must be given


def members_of(obj: object) -> dict[str, Member]:
    """The remote methods of an object. Raises TypeError for a public member of its class that is not declared."""
    kind = type(obj)
    members = {}
    for name in dir(kind):
        if name.startswith("_"):
            continue
        found = inspect.getattr_static(kind, name)
        if isinstance(found, property) or inspect.isdatadescriptor(found):
            raise TypeError(f"{kind.__name__}.{name} is a property; only methods can be remote")
        if not callable(found) and not isinstance(found, (classmethod, staticmethod)):
            continue
        level = getattr(found, _LEVEL, None) if inspect.isfunction(found) else None
        inherited = {_own_level(base, name) for base in kind.__mro__} - {None}
        if level is None and inherited == {_LOCAL}:
            continue
        if level not in (VIEW, CONTROL, _LOCAL):
            raise TypeError(f"{kind.__name__}.{name} is public but declares neither @view nor @control (nor @local)")
        if len(inherited) > 1:
            raise TypeError(f"{kind.__name__}.{name} declares {level}, a base class of it {sorted(map(str, inherited))}")
        if level != _LOCAL:
            members[name] = _member(kind, name, level, found)
    return members


def _own_level(kind: type, name: str) -> str | None:
    return getattr(kind.__dict__.get(name), _LEVEL, None)


def _member(kind: type, name: str, level: str, function: Callable[..., Any]) -> Member:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    takes_caller = bool(parameters) and parameters[0].name == "caller"
    if takes_caller != (level == CONTROL):
        raise TypeError(f"{kind.__name__}.{name}: a control method takes `caller` first, a view method does not")
    parameters = parameters[1:] if takes_caller else parameters
    if any(p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in parameters):
        raise TypeError(f"{kind.__name__}.{name}: a remote method takes no *args, **kwargs or positional-only parameters")
    by_position = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    needed = [p for p in parameters if p.default is p.empty]
    keyword_needed = any(p.kind is p.KEYWORD_ONLY for p in needed)
    return Member(
        name,
        level,
        function,
        signature.replace(parameters=parameters),
        len(by_position),
        len(parameters) + 1 if keyword_needed else len(needed),
    )


class Remote(Protocol):
    """What a gate opens to: an object that can say which run of which program it is."""

    boot_id: str
    software_version: str


class Gate:
    """The only way to the remote methods of an object: checks the caller's rights, then the arguments, then calls.

    Writes one audit line for each call that it refuses and for each control call that it lets through.
    """

    def __init__(self, obj: Remote, audit: Audit | None = None) -> None:
        self.members = members_of(obj)
        self.audit = audit if audit is not None else Audit()
        self.boot_id = obj.boot_id
        self.software_version = obj.software_version
        self._obj = obj

    def call(self, caller: Caller, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a method as `caller`, and return what it returns.

        Raises InvalidControlIP without the right for it, UnknownMethod, InvalidArgument, and whatever the method
        refuses with. Any other exception stays in the log; the caller gets CommandFailed with a reference to it.
        """
        member = self.members.get(name)
        if member is None or member.level not in caller.rights:
            raise self._refusal(caller, name, member)
        if member.level == CONTROL:
            return self._control(caller, member, args, kwargs)
        _check_arguments(member, args, kwargs)
        try:
            return member.function(self._obj, *args, **kwargs)
        except ObservatoryError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary to the caller, who must not see our insides
            raise internal_error(name, error) from None

    def refuse(self, caller: Caller, what: str, error: ObservatoryError) -> ObservatoryError:
        """`error`, after an audit line which says that `caller` met it at `what`."""
        self.audit.refused(str(caller), what, error.code, error.message)
        return error

    def _control(self, caller: Caller, member: Member, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        arguments = _shown_arguments(member, args, kwargs)
        try:
            _check_arguments(member, args, kwargs)
            result = member.function(self._obj, caller, *args, **kwargs)
        except ObservatoryError as error:
            self.audit.failed(str(caller), member.name, arguments, error.code, error.message)
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the boundary to the caller, who must not see our insides
            failure = internal_error(member.name, error)
            self.audit.failed(str(caller), member.name, arguments, failure.code, failure.message)
            raise failure from None
        self.audit.accepted(str(caller), member.name, arguments, result)
        return result

    def _refusal(self, caller: Caller, name: str, member: Member | None) -> ObservatoryError:
        needed = member.level if member is not None else CONTROL if name == "__setattr__" else VIEW
        error: ObservatoryError
        if needed not in caller.rights:
            error = InvalidControlIP(
                f"{CommandStatus.InvalidControlIP.text}: {caller} may not {needed}, which {shown(name)} needs",
                value=caller.address,
                allowed=f"a machine with the right to {needed}",
            )
        elif name in ("__getattr__", "__setattr__"):
            error = UnknownMethod("the daemon has no attributes to read or set, only methods", value=name)
        else:
            near = get_close_matches(name, self.members, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            error = UnknownMethod(
                f"the daemon has no method {shown(name)}{hint}",
                value=shown(name),
                allowed=", ".join(sorted(self.members)),
            )
        return self.refuse(caller, name if member is not None else shown(name), error)


def _check_arguments(member: Member, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    if not kwargs and member.required <= len(args) <= member.positional:
        return
    try:
        member.signature.bind(*args, **kwargs)
    except TypeError as error:
        expected = f"{member.name}{member.signature.replace(return_annotation=inspect.Signature.empty)}"
        given = _shown_arguments(member, args, kwargs)
        raise InvalidArgument(f"{member.name}: {error}, expected {expected}", value=given, allowed=expected) from None


def _shown_arguments(member: Member, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    named = list(zip(member.signature.parameters, args, strict=False))
    surplus = [shown(value) for value in args[len(named) : len(named) + 4]]
    given = [f"{name}={shown(value)}" for name, value in [*named, *list(kwargs.items())[:20]]]
    return ", ".join(given + surplus)


def internal_error(name: str, error: BaseException) -> CommandFailed:
    """What the caller of a method gets instead of an unexpected exception, which goes into the log with a reference."""
    reference = uuid.uuid4().hex[:8]
    log.error("internal error in %s, reference %s", name, reference, exc_info=error)
    return CommandFailed(f"internal error in {name}, reference {reference}: the daemon's log has the details")
