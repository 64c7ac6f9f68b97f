"""What requests hold. Unknown keys are refused; what depends on a device is checked by its daemon."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from observatory_webd.accounts.passwords import LONGEST, SHORTEST

Name = Annotated[str, Field(min_length=1, max_length=60)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Password = Annotated[str, Field(min_length=1, max_length=LONGEST)]
#: The description names the shortest; a shorter one is refused with the words of `checked_password`.
NewPassword = Annotated[str, Field(min_length=1, max_length=LONGEST, json_schema_extra={"minLength": SHORTEST})]
RoleName = Literal["viewer", "operator", "administrator"]
RequestId = Annotated[
    str, Field(min_length=1, max_length=200, description="a repeated one is answered with the job it started")
]
Values = dict[str, Any]


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Login(Body):
    """Name and password."""

    user: Name
    password: Password


class Setup(Body):
    """The first administrator, and the token of the one-time link."""

    token: Annotated[str, Field(min_length=1, max_length=100)]
    user: Name
    password: NewPassword


class PasswordChange(Body):
    """One's own password."""

    present: Password
    new: NewPassword


class NewUser(Body):
    """A user, whose password is to be changed at the first login."""

    user: Name
    role: RoleName
    password: NewPassword


class NewRole(Body):
    """Another role."""

    role: RoleName


class GivenPassword(Body):
    """Another password, to be changed at the next login."""

    password: NewPassword


class NewToken(Body):
    """A token for a script: what for, the most that it may, for how many days (null: until it is revoked)."""

    label: Annotated[str, Field(min_length=1, max_length=80)]
    role: RoleName = "viewer"
    days: Annotated[float, Field(gt=0, le=3650)] | None = None


class Controls(Body):
    """Controls by libcamera's names, and for how many seconds to wait until a frame has them."""

    values: Values
    timeout_s: Annotated[float, Field(ge=0, le=10)] = 2.0


class Exposure(Body):
    """The exposure of the camera."""

    exposure_s: Annotated[float, Field(ge=0, le=100000)]
    timeout_s: Annotated[float, Field(ge=0, le=10)] = 2.0


class Gain(Body):
    """The analogue gain of the camera."""

    gain: Annotated[float, Field(ge=0, le=100000)]
    timeout_s: Annotated[float, Field(ge=0, le=10)] = 2.0


class Crop(Body):
    """`crop` [x, y, width, height] in pixels of the sensor, or `zoom` about `centre`; nothing: all of the picture."""

    crop: Annotated[list[int], Field(min_length=4, max_length=4)] | None = None
    zoom: Annotated[float, Field(ge=1, le=100)] | None = None
    centre: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None


class Photo(Body):
    """A photo; `raw` adds the raw frame of the same request, `at` is when its exposure starts (ISO 8601, UTC)."""

    format: Literal["jpg", "png", "tiff", "bmp", "fits"] = "jpg"
    raw: Literal["fits", "dng"] | None = None
    at: Text | None = None
    request_id: RequestId | None = None


class Raw(Body):
    """A raw frame."""

    format: Literal["fits", "dng", "tiff"] = "fits"
    at: Text | None = None
    request_id: RequestId | None = None


class Video(Body):
    """A recording, until it is stopped or for `duration_s` seconds."""

    duration_s: Annotated[float, Field(ge=0.1, le=604800)] | None = None
    audio: bool = False
    format: Literal["mp4", "h264"] = "mp4"
    request_id: RequestId | None = None


class Sequence(Body):
    """So many frames (0: until stopped), one each `interval_s` seconds."""

    count: Annotated[int, Field(ge=0, le=10_000_000)]
    interval_s: Annotated[float, Field(ge=0, le=604800)] | None = None
    format: Literal["jpg", "png", "tiff", "bmp", "fits", "dng"] | None = None
    request_id: RequestId | None = None


class UseCase(Body):
    """The keys of a use case that are to change."""

    values: Values


class Copy(Body):
    """Which other camera of the same model takes over the settings that hold now, and under which name it keeps them."""

    to: Name
    save_as: Name | None = None


class FileNames(Body):
    """Names of files."""

    names: Annotated[list[Annotated[str, Field(min_length=1, max_length=200)]], Field(min_length=1, max_length=10000)]


class Move(Body):
    """Where to move a channel to, or (`offset`) by how much."""

    channel: Annotated[int, Field(ge=1, le=99)]
    steps: Annotated[int, Field(ge=-9_999_999, le=9_999_999)]
    offset: bool = False
    accept_uncertain: bool = False
    request_id: RequestId | None = None


class Channel(Body):
    """A channel."""

    channel: Annotated[int, Field(ge=1, le=99)]


class SomeChannel(Body):
    """A channel, or (null) all of them."""

    channel: Annotated[int, Field(ge=1, le=99)] | None = None


class Switch(Body):
    """On or off."""

    enabled: bool


class DeviceCall(Body):
    """The arguments of a method of a GPIO device, as its description names them. With a `request_id` the answer is a job."""

    arguments: Values = {}
    request_id: RequestId | None = None
