"""The model of the controller against the facts measured on the real firmware; test_simulator.py has it behind its port."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from observatory_focusd.simulator.firmware import MODEL_2022, MODEL_2023, Firmware

BLANK = b"\xff" * 512
STATUS = "T1=-000001,C1=-000001,T2=-000001,C2=-000001"
#: Input and the lines that answer it, on a fresh controller with a blank EEPROM.
GOLDEN: list[tuple[bytes, list[str]]] = [
    (b"?\n", [STATUS]),
    *[(text, []) for text in (b"1\n", b"1+\n", b"1-\n", b"1s\n", b"1X\n", b"1SS\n", b"1S \n", b"2Sx\n", b"1?\n", b"12\n")],
    *[(text, []) for text in (b"12345\n", b"15\n", b"1 +5\n", b"1" * 40 + b"\n")],
    *[(text, ["$"]) for text in (b"1+5\n", b"1+0\n", b"1+0000001\n", b"1+1234567\n", b"1-0000000\n", b"1S\n", b"2Z\n")],
    *[(text, ["?"]) for text in (b"1+12345678\n", b"1+00000001\n", b"1+12a\n", b"1+ 5\n", b"1+-5\n", b"1++5\n")],
    (b"1+" + b"9" * 40 + b"\n", ["?"]),
    *[(text, ["?"]) for text in (b"3S\n", b"0Z\n", b"4+000001\n", b"5\n", b"S1\n", b"x\n", b" ?\n", b" 1S\n", b" \n")],
    *[(text, ["?"]) for text in (b"\x00\n", b"??\n", b"?x\n", b"X" * 40 + b"\n")],
    (b"?\r\n?\r\n?\r\n", [STATUS, "?", "?"]),
    (b"\n?\n", ["?"]),
    (b"\n\n?\n", ["?", STATUS]),
    (b"1+10\r1+20\r", ["$", "$"]),
    (b"\n", []),
]
IDS = [repr(text)[2:-1][:24] for text, _ in GOLDEN]


def controller(model=MODEL_2022, eeprom: bytes = BLANK, channels: int = 2, **settings) -> Firmware:
    firmware = Firmware(model, channels, settings.pop("speed_factor", 1.0), settings.pop("save", lambda _: None), **settings)
    firmware.power_on(eeprom, 0.0)
    return firmware


def say(firmware: Firmware, text: bytes, now: float = 0.0) -> list[str]:
    replies = firmware.receive(text, now)
    assert all(reply.endswith(b"\r\n") for reply in replies)
    return [reply.decode().removesuffix("\r\n") for reply in replies]


@pytest.mark.parametrize(("text", "answer"), GOLDEN, ids=IDS)
def test_golden_vectors_of_the_model(text: bytes, answer: list[str]) -> None:
    assert say(controller(), text) == answer


def test_seven_digits_when_six_will_not_do() -> None:
    firmware = controller(eeprom=bytes(512))
    say(firmware, b"1+1000000\n2-1000000\n")
    assert say(firmware, b"?\n") == ["T1=+1000000,C1=+000000,T2=-1000000,C2=+000000"]
    say(firmware, b"1+999999\n2-999999\n")
    assert say(firmware, b"?\n") == ["T1=+999999,C1=+000000,T2=-999999,C2=+000000"]


def test_speed_and_both_channels_at_once() -> None:
    firmware = controller(eeprom=bytes(512))
    say(firmware, b"1+001000\n2-000500\n")
    store_s = 0.05  # the EEPROM's writes hold the motors for some milliseconds
    for after_s, first, second in ((4.096, 250, -250), (8.192, 500, -500), (16.384, 1000, -500)):
        one, two = (firmware.motor_state(n, after_s + store_s)["current_steps"] for n in (1, 2))
        assert first <= one <= first + 61.035 * store_s + 1 if one != 1000 else first == 1000
        assert second - 61.035 * store_s - 1 <= two <= second
    assert not firmware.motor_state(1, 16.5)["moving"]
    quick = controller(eeprom=bytes(512), speed_factor=10)
    say(quick, b"1+001000\n")
    assert quick.motor_state(1, 1.6384 + store_s)["current_steps"] == 1000


def test_downward_moves_show_their_target_before_they_are_there() -> None:
    firmware = controller(eeprom=bytes(512))
    say(firmware, b"1-000010\n")
    arrives = next(t / 1000 for t in range(1000) if not firmware.motor_state(1, t / 1000)["moving"])
    shown = next(t / 1000 for t in range(1000) if firmware.motor_state(1, t / 1000)["current_steps"] == -10)
    assert 0.010 < arrives - shown <= 0.017  # up to 63 raw steps


def test_a_stop_keeps_the_remainder_that_the_status_does_not_show() -> None:
    firmware = controller(eeprom=bytes(512))
    say(firmware, b"1+001000\n")
    assert say(firmware, b"1S\n", 1.007) == ["$"]
    raw = firmware.motor_state(1, 2.0)["current_raw"]
    assert raw % 64 != 0
    assert say(firmware, b"?\n", 2.0) == [f"T1={raw // 64:+07d},C1={raw // 64:+07d},T2=+000000,C2=+000000"]


def test_zero_and_a_new_target_are_accepted_while_it_moves() -> None:
    firmware = controller(eeprom=bytes(512))
    say(firmware, b"1+001000\n")
    assert say(firmware, b"1-001000\n", 1.0) == ["$"]
    assert firmware.motor_state(1, 1.5)["current_steps"] < firmware.motor_state(1, 1.0)["current_steps"]
    true = firmware.true_raw(1, 2.0)
    assert say(firmware, b"1Z\n", 2.0) == ["$"]
    state = firmware.motor_state(1, 3.0)
    assert (state["current_steps"], state["target_steps"], state["moving"]) == (0, 0, False)
    assert abs(firmware.true_raw(1, 3.0) - true) <= 1  # it stands where it stood, under another name


def test_the_eeprom_keeps_the_target_alone() -> None:
    kept: list[bytes] = []
    firmware = controller(eeprom=bytes(512), save=kept.append)
    say(firmware, b"1+001000\n")
    say(firmware, b"?\n", 0.5)
    assert len(kept) == 1  # written by commands only
    again = controller(eeprom=kept[-1])
    assert again.motor_state(1, 0.0)["current_steps"] == again.motor_state(1, 0.0)["target_steps"] == 1000  # the lie
    say(firmware, b"1S\n", 1.0)
    assert int.from_bytes(kept[-1][:4], "little", signed=True) == firmware.motor_state(1, 2.0)["target_raw"]


def test_the_2023_firmware() -> None:
    probes = {"28FF000000000001": 3.25, "28FF000000000002": None}
    one = controller(MODEL_2023, bytes(512), 1, temperatures_c=probes)
    assert say(one, b"?\n") == ["T1=+000000,C1=+000000"]
    assert say(one, b"2+5\n") == ["?"]
    assert say(one, b"#\n") == ["0"]
    assert say(one, b"#1\n#\n#0\n#\n#2\n") == ["$", "1", "$", "0", "?"]
    assert say(one, b"@\n") == [",".join(probes)]
    assert say(one, b"@28FF000000000001\n") == ["3.2500"]
    assert say(one, b"@28FF000000000002\n") == ["FAILED"]
    assert say(one, b"@28FF000000000003\n") == ["?"]
    say(one, b"1+001000\n")
    assert one.motor_state(1, 1000 / 97.65625 + 0.1)["current_steps"] == 1000
    assert one.motor_state(1, 1000 / 97.65625 - 0.1)["moving"]
    assert say(controller(), b"#\n") == ["?"]


@given(st.lists(st.binary(max_size=24), max_size=12), st.floats(0, 5))
def test_whatever_it_hears_it_answers_in_whole_lines_and_lives_on(heard: list[bytes], pause_s: float) -> None:
    firmware, now = controller(eeprom=bytes(512)), 0.0
    for text in heard:
        say(firmware, text, now)
        now += pause_s
    say(firmware, b"x\n", now)  # whatever was left in the buffer ends here
    answers = say(firmware, b"?\n", now)
    assert len(answers) == 1
    assert answers[0].startswith("T1=")
