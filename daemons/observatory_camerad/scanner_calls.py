"""The part of the remote object that serves scanners: controls of which some may be wrong, their file, the controller."""

from __future__ import annotations

from typing import Any

from observatory_camerad.parts import Parts
from observatory_camerad.scanner.template import ENDING, template
from observatory_common import arguments
from observatory_common.access import Caller, control, view
from observatory_common.errors import CommandFailed
from observatory_common.remote import RemoteDevice


class ScannerCalls(RemoteDevice):
    """To be made whole by a class that has the parts."""

    _parts: Parts

    @control
    def apply_controls(self, caller: Caller, values: dict[str, Any], strict: bool = False) -> dict[str, Any]:
        """Set those controls that fit, together (`strict`: none if one does not), and tell every key's fate.

        Keys that begin with _ are comments. Answers with `applied`, `refused` (why, by name), `keys` (each with value, fate,
        reason, range, default, type), `strict`, `date`, `in_effect`, `complete` (a frame has them, within 0.5 s). Raises
        InvalidArgument for what is no object of at most 200 keys, NotConnected, Blocked (autofocus), CommandFailed.
        """
        return self._parts.apply_controls(values, arguments.flag("strict", strict))

    @view
    def controls_template(self) -> dict[str, Any]:
        """A controls file with every default: `template`, and where it lies on the medium, `file`. Raises NotConnected."""
        config = self._parts.config.controls_file
        section = "picamera" if config is None else config.section
        return {
            "file": None if config is None or not config.template else f"{config.path}{ENDING}",
            "template": template(section, self._parts.found().controls),
        }

    @view
    def controls_file(self) -> dict[str, Any]:
        """What became of the controls file: state, error, report with every key's fate. Raises CommandFailed without one."""
        file = self._parts.scanner.controls_file
        if file is None:
            raise CommandFailed("no controls_file is configured", value=None, allowed="a camera with controls_file")
        return file.status()

    @view
    def controller_status(self) -> dict[str, Any]:
        """The controller's last message, its age, what was done for it. Raises CommandFailed without one in the config."""
        controller = self._parts.scanner.controller
        if controller is None:
            raise CommandFailed("no controller is configured", value=None, allowed="a camera with controller")
        return controller.status()
