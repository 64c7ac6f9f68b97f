"""As a program: records noise into FILE, `python recorder.py FILE FRAMES [MOUNT_BYTES]`, and prints what came of it.

Prints a line for each frame written; FRAMES 0 means without end. With MOUNT_BYTES the folder is first covered by a disk
of that size (in a mount namespace of its own: run it by `unshare -m`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import count
from pathlib import Path

import videos
import waiting

from observatory_camerad.video.encoder import EncoderSettings
from observatory_camerad.video.recording import RecordingLimits
from observatory_camerad.video.stream import VideoStream


def main(path: Path, frames: int, mount_bytes: int) -> None:
    """Record."""
    if mount_bytes:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mount_bytes}", "tmpfs", str(path.parent)], check=True)
    stream = VideoStream("main", "boot", EncoderSettings(codec="libx264"))
    stream.start()
    recording = stream.record(path, RecordingLimits(reserve_bytes=0))
    for number in count():
        if recording.ended or number == frames > 0:
            break
        waiting.until(lambda: stream._queued == 0, 10, "the encoder")
        stream.offer(videos.noise(number % 20), "RGB888", number * 33_333)
        print(recording.frames, flush=True)
    recording.stop()
    result = recording.wait(10)
    stream.close(5)
    assert result is not None
    answer = {"reason": result.reason, "error": str(result.error), "frames": result.frames, "size": result.size}
    answer |= {"duration_s": result.duration_s, "files": sorted(found.name for found in path.parent.iterdir())}
    if result.path is not None:
        times, duration_s, _ = videos.played(result.path)
        answer |= {
            "played": len(times),
            "played_s": duration_s,
            "times_right": times == [n * 33_333 for n in range(len(times))],
        }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
