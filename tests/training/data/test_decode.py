"""Videos and images become frames spread evenly over time, whatever rate and size they have."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_media import LEVELS, picture, shown, video, without_frames

from training.data.decode import clip, read_timeline
from training.data.errors import MediaError

CROP_PX = 16


def numbers(media: bytes, extension: str = "mp4", frames: int = 8, **times: float) -> list[int]:
    """Which frames of a test video a clip shows."""
    pixels_TCHW = clip(media, extension, frames, CROP_PX, **times)
    assert pixels_TCHW.shape == (frames, 3, CROP_PX, CROP_PX)
    return [shown(float(frame.float().mean())) for frame in pixels_TCHW]


def test_as_many_frames_as_there_are_come_once_each_in_order() -> None:
    assert numbers(video(8)) == list(range(8))


def test_the_short_edge_is_scaled_as_the_model_wants_it() -> None:
    image = np.zeros((16, 32, 3), np.uint8)
    image[:, 12:] = 255
    media = cv2.imencode(".png", image)[1].tobytes()
    whole = clip(media, "png", 2, CROP_PX, resize_px=CROP_PX)
    assert np.array_equal(whole[1].permute(1, 2, 0).numpy(), image[:, 8:24])
    narrow = clip(media, "png", 2, CROP_PX, resize_px=4 * CROP_PX)
    assert float(narrow.float().mean()) == 255.0


@pytest.mark.parametrize(("frames", "want"), [(4, [1, 3, 5, 7]), (2, [2, 6]), (1, [4])])
def test_fewer_are_spread_evenly(frames: int, want: list[int]) -> None:
    assert numbers(video(8), frames=frames) == want


def test_more_than_there_are_come_more_than_once() -> None:
    assert numbers(video(2), frames=6) == [0, 0, 0, 1, 1, 1]


def test_a_segment_shows_only_itself() -> None:
    assert numbers(video(24, 4.0), frames=4, start_s=2.0, end_s=3.0) == [8, 9, 10, 11]


def test_frames_are_found_across_keyframes_in_a_long_video() -> None:
    assert numbers(video(30, gop=5), frames=6) == [2, 7, 12, 17, 22, 27]


@pytest.mark.parametrize("rate_hz", [2.0, 7.5, 30.0, 59.94])
@pytest.mark.parametrize("size_hw", [(16, 16), (64, 20), (30, 90)])
def test_rate_and_size_do_not_matter(rate_hz: float, size_hw: tuple[int, int]) -> None:
    assert numbers(video(12, rate_hz, size_hw), frames=4) == [1, 4, 7, 10]


def test_time_counts_and_not_the_number_where_the_rate_varies() -> None:
    # Ten frames in the first second, then one for each of three.
    times_s = [i / 10 for i in range(10)] + [1.0, 2.0, 3.0]
    assert numbers(video(13, times_s=times_s), frames=3) == [5, 10, 11]


@pytest.mark.parametrize(
    ("container", "codec", "extension"),
    [("matroska", "libx264", "mkv"), ("webm", "libvpx-vp9", "webm")],
)
def test_other_containers(container: str, codec: str, extension: str) -> None:
    assert numbers(video(8, container=container, codec=codec), extension) == list(range(8))


def test_metadata_in_another_encoding_does_not_matter() -> None:
    media = video(8, container="matroska").replace(b"Lavf", b"\xe4vf\xff")
    assert numbers(media, "mkv") == list(range(8))


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_an_image_is_repeated_along_time(extension: str) -> None:
    media = picture(LEVELS[5], extension=extension)
    assert numbers(media, extension) == [5] * 8


def cut_in_half() -> bytes:
    whole = video(24)
    return whole[: len(whole) // 2]


def cut_with_its_header_in_front() -> bytes:
    whole = video(30, size_hw=(64, 64), movflags="faststart")
    return whole[: len(whole) - 40]


BROKEN: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "empty": (lambda: b"", "mp4", "cut off or no video"),
    "text": (lambda: b"not a video at all", "mp4", "cut off or no video"),
    "cut in half": (cut_in_half, "mp4", "cut off"),
    "cut with its header in front": (cut_with_its_header_in_front, "mp4", "cut off"),
    "header of an mp4 alone": (lambda: video(0), "mp4", "no video"),
    "unknown codec": (lambda: video(4).replace(b"avc1", b"zzzz"), "mp4", "codec is not known"),
    "header alone": (without_frames, "mp4", "no frames"),
    "empty image": (lambda: b"", "png", "JPEG or PNG"),
    "cut image": (lambda: picture()[:60], "png", "JPEG or PNG"),
    "unknown extension": (lambda: video(2), "gif", "use mp4"),
    "one line": (lambda: picture(0, (1, 40)), "png", "crop it first"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_decoded_says_the_mend(case: str) -> None:
    media, extension, said = BROKEN[case]
    with pytest.raises(MediaError, match=said):
        clip(media(), extension, 4, CROP_PX)


WHOLE = {
    "mp4": video(8),
    "mkv": video(8, container="matroska"),
    "png": picture(),
    "jpg": picture(extension="jpg"),
}


@settings(max_examples=60, deadline=None)
@given(
    extension=st.sampled_from(sorted(WHOLE)),
    end=st.just(1.0) | st.floats(0, 1),
    spoilt=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=8),
)
def test_any_damage_gives_a_clip_or_an_error_of_its_own(
    extension: str, end: float, spoilt: list[tuple[float, int]]
) -> None:
    data = bytearray(WHOLE[extension])
    for at, value in spoilt:
        data[int(at * len(data))] = value
    media = bytes(data[: int(end * len(data))])
    try:
        pixels_TCHW = clip(media, extension, 4, CROP_PX)
    except MediaError:
        return
    assert pixels_TCHW.shape == (4, 3, CROP_PX, CROP_PX)


def test_damage_in_the_middle_is_noticed() -> None:
    whole = bytearray(video(30, size_hw=(64, 64), gop=30, movflags="faststart"))
    start = whole.index(b"mdat") + 8
    whole[start:] = bytes(len(whole) - start)
    with pytest.raises(MediaError, match="damaged"):
        clip(bytes(whole), "mp4", 8, CROP_PX)


def test_a_sound_file_is_no_video() -> None:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as out:
        stream = out.add_stream("aac", rate=16000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.sample_rate = 16000
        out.mux(stream.encode(silence))
        out.mux(stream.encode())
    with pytest.raises(MediaError, match="holds no video"):
        clip(buffer.getvalue(), "mp4", 4, CROP_PX)


@pytest.mark.parametrize("times", [{"start_s": 2.5}, {"end_s": -1.0}])
def test_a_segment_outside_of_the_video_says_where_the_video_is(times: dict[str, float]) -> None:
    with pytest.raises(MediaError, match=r"0\.000 to 2\.000 s"):
        clip(video(8, 4.0), "mp4", 4, CROP_PX, **times)


def test_the_timeline_is_read_without_decoding() -> None:
    timeline = read_timeline(video(8, 4.0, gop=4))
    assert len(timeline.pts) == 8
    assert len(timeline.keyframes) == 2
    assert timeline.end_s == pytest.approx(2.0)
