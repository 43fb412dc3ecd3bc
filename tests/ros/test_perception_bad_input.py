"""What a camera, a clock and a network can do wrong: each gets its answer, and nothing stops."""

from __future__ import annotations

import itertools
import time
from array import array

import cv2
import pytest
from ros_harness import Client, NodeProcess, image, picture, wait_until
from sensor_msgs.msg import CompressedImage, Image

from vljepa_ros import msg
from vljepa_ros.ros import conversions

pytestmark = pytest.mark.ros
SECOND_NS = 1_000_000_000


def cut(message: Image) -> Image:
    message.data = message.data[:-1]
    return message


def stamped(message: Image, sec: int, nanosec: int) -> Image:
    message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec
    return message


def bad_images(now_ns: int) -> dict[str, list[Image]]:
    """Broken images by the fault that they are counted under."""
    good = picture()
    return {
        "encoding": [image(good, now_ns, encoding=e) for e in ("", "32FC1", "rgb9", "🤖" * 99)],
        "size": [
            image(good, now_ns, height=0),
            image(good, now_ns, width=0),
            image(good, now_ns, height=0, width=0, step=0, data=array("B")),
            image(good, now_ns, height=2**32 - 1, width=2**32 - 1, step=2**32 - 1),
            image(good, now_ns, height=1, width=3072, step=9216),
        ],
        "step": [image(good, now_ns, step=s) for s in (0, 1, 191)]
        + [image(good, now_ns, encoding="rgba8")],
        "data": [
            cut(image(good, now_ns)),
            image(good, now_ns, data=array("B")),
            image(good, now_ns, step=2**32 - 1),
            image(good, now_ns, encoding="mono8", step=64),
        ],
        "stamp": [
            stamped(image(good, 0), now_ns // SECOND_NS, SECOND_NS),
            stamped(image(good, 0), now_ns // SECOND_NS, 2**32 - 1),
            stamped(image(good, 0), -5, 0),
        ],
        "unstamped": [stamped(image(good, 0), 0, 0)],
    }


@pytest.mark.parametrize("fault", bad_images(0))
def test_a_broken_image_is_counted_and_said_and_the_next_good_one_perceived(
    active: Client, perception: NodeProcess, fault: str
) -> None:
    said = len(perception.log)
    messages = bad_images(active.now_ns())[fault]
    key = f"{'ignored' if fault == 'unstamped' else 'refused'}: {fault}"
    for count, message in enumerate(messages, start=1):
        active.show(message)  # one at a time, else the newest would push the others out
        active.wait_for_health("camera", lambda _l, _t, f, n=count: f.get(key) == str(n))
    level, text, figures = active.health("camera")
    assert level >= 1 and figures["last error"] == text != ""
    assert "camera camera:" in perception.log[said:]
    assert not active.states
    assert active.see().state_id > 0
    assert perception.process.poll() is None


def jpeg() -> bytes:
    message = conversions.compressed_message(picture(5), when_ns=0, frame_id="", quality=90)
    return bytes(message.data)


def png() -> bytes:
    return bytes(cv2.imencode(".png", picture(5))[1].tobytes())


def test_broken_compressed_images_are_refused(fresh: Client, perception: NodeProcess) -> None:
    broken = {
        "empty": b"",
        "no picture at all": b"hello",
        "truncated JPEG": jpeg()[:-200],
        "JPEG header only": jpeg()[:30],
        "truncated PNG": png()[:-20],
        "PNG with a flipped bit": png()[:60] + bytes([png()[60] ^ 1]) + png()[61:],
        "PNG of 4 gigapixels": png()[:16] + b"\xff" * 8 + png()[24:],
    }
    assert fresh.set_parameters(image_transport="compressed").successful
    assert fresh.transition("configure", "activate")
    stamp_ns = fresh.now_ns()
    for count, data in enumerate(broken.values(), start=1):
        message = CompressedImage(format="jpeg", data=array("B", data))
        message.header.stamp = conversions.time_message(stamp_ns + count)
        fresh.show(message, topic="/image/compressed")
        fresh.wait_for_health("camera", lambda _l, _t, f, n=count: f["frames refused"] == str(n))
    assert not fresh.states
    for offset, (kind, data) in enumerate({"jpeg": jpeg(), "png": png()}.items(), start=100):
        message = CompressedImage(format=kind, data=array("B", data))
        message.header.stamp = conversions.time_message(stamp_ns + offset)
        fresh.show(message, topic="/image/compressed")
        assert fresh.state_of(stamp_ns + offset)
    assert perception.process.poll() is None


def test_repeated_and_late_stamps_are_ignored_and_counted(active: Client) -> None:
    stamp_ns = active.now_ns()
    first = active.see(stamp_ns=stamp_ns)
    active.show(image(picture(1), stamp_ns))
    active.wait_for_health("camera", lambda _l, _t, f: f.get("ignored: repeated") == "1")
    active.show(image(picture(2), stamp_ns - SECOND_NS // 10))
    active.wait_for_health("camera", lambda _l, _t, f: f.get("ignored: late") == "1")
    assert len(active.states) == 1
    assert active.see(stamp_ns=stamp_ns + 1).state_id == first.state_id


def test_stamps_that_jump_begin_anew_and_ids_go_on(active: Client) -> None:
    stamp_ns = active.now_ns()
    first = active.see(stamp_ns=stamp_ns)
    back = active.see(stamp_ns=stamp_ns - 100 * SECOND_NS)
    assert back.state_id == first.state_id + 1
    assert back.clip_start == back.header.stamp
    gap = active.see(stamp_ns=stamp_ns + 1)
    assert gap.clip_start == gap.header.stamp
    assert gap.latency.sec >= 0
    year_ns = 365 * 86400 * SECOND_NS
    future = active.see(stamp_ns=stamp_ns + year_ns)
    assert future.latency.sec < -86400
    active.wait_for_health("camera", lambda _l, _t, f: f.get("stamps in the future") == "1")
    _, _, figures = active.health("camera")
    assert figures["stamps restarted_backward"] == "1"
    assert figures["stamps restarted_gap"] == "2"
    end_of_time = active.see(stamp_ns=(2**31 - 1) * SECOND_NS)
    assert end_of_time.state_id >= future.state_id


def test_size_and_encoding_may_change_in_the_stream(active: Client) -> None:
    active.see(1)
    grey = cv2.cvtColor(picture(2, 96, 32), cv2.COLOR_RGB2GRAY)
    stamp_ns = active.now_ns()
    message = Image(height=96, width=32, encoding="mono8", step=32, data=array("B", grey.tobytes()))
    message.header.stamp = conversions.time_message(stamp_ns)
    active.show(message)
    assert active.state_of(stamp_ns)
    active.wait_for_health("camera", lambda _l, _t, f: f.get("changes of format") == "1")
    assert active.see(3)


def test_a_silent_camera_is_called_stale_until_it_comes_back(active: Client) -> None:
    assert active.set_parameters(stale_after_s=0.5).successful
    state = active.see()
    active.wait_for_health("camera", lambda level, text, _: level == 3 and "/image" in text)
    active.drop_publishers()
    active.wait_for_health("camera", lambda _l, text, _f: "publishers found: 0" in text)
    back = active.see()
    assert back.state_id == state.state_id

    def comes_back(level: int, _text: str, _figures: dict[str, str]) -> bool:
        active.show(image(picture(), active.now_ns()))
        return level == 0

    active.wait_for_health("camera", comes_back)


def test_best_effort_and_reliable_cameras_are_both_heard(
    active: Client, perception: NodeProcess
) -> None:
    def heard(reliable: bool) -> bool:
        before = len(active.states)
        active.publisher(reliable=reliable, match=False).publish(image(picture(), active.now_ns()))
        time.sleep(0.05)
        return len(active.states) > before

    for reliable in (False, True, False):
        active.drop_publishers()
        wait_until(lambda r=reliable: heard(r), f"a state of a camera with reliable={reliable}")
    assert "best effort" in perception.log


def test_a_pairing_that_cannot_work_is_said_with_its_mend(
    fresh: Client, perception: NodeProcess
) -> None:
    assert fresh.set_parameters(reliability="reliable").successful
    assert fresh.transition("configure", "activate")
    said = len(perception.log)
    fresh.publisher(reliable=False, match=False)
    fresh.wait_for_health(
        "camera", lambda _l, text, _f: "reliability to auto or best_effort" in text
    )
    assert "does not accept" in perception.log[said:]


def test_large_best_effort_images_that_get_lost_are_said(
    active: Client, perception: NodeProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames of 2.7 MB: with the defaults of Fast DDS most never arrive."""
    large = cv2.resize(picture(), (1280, 720))
    publisher = active.publisher(reliable=False)

    def lossy(_level: int, text: str, figures: dict[str, str]) -> bool:
        for _ in range(10):
            publisher.publish(image(large, active.now_ns()))
            time.sleep(0.01)
        return "fastdds_large_images.xml" in text

    active.wait_for_health("camera", lossy)
    active.drop_publishers()
    assert active.see()


def test_simulated_time_may_jump_back(active: Client, perception: NodeProcess) -> None:
    assert active.set_parameters(use_sim_time=True).successful
    try:
        stamps_ns = itertools.count(99 * SECOND_NS)

        def a_second_old() -> bool:
            active.clock(100 * SECOND_NS)
            latency = active.see(stamp_ns=next(stamps_ns)).latency
            return 0 < latency.sec + latency.nanosec / SECOND_NS <= 1

        wait_until(a_second_old, "latency by the simulated clock")
        before = active.see(stamp_ns=next(stamps_ns))
        said = len(perception.log)
        active.clock(50 * SECOND_NS)
        wait_until(lambda: "ROS time jumped by -50" in perception.log[said:], "the jump")
        active.diagnostics.clear()  # published by the thread that forgets the past
        wait_until(lambda: len(active.diagnostics) > 1, "diagnostics after the jump")
        again = active.see(stamp_ns=50 * SECOND_NS)
        assert again.state_id == before.state_id + 1
        assert again.clip_start == again.header.stamp
        assert active.get_state().status.error_code == msg.Status.OK
    finally:
        assert active.set_parameters(use_sim_time=False).successful
