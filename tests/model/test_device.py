from __future__ import annotations

import pytest
import torch

from vljepa_ros.model.device import EngineError, resolve_device, resolve_dtype


@pytest.fixture
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("_no_gpu")
def test_without_a_gpu_auto_is_the_cpu() -> None:
    assert resolve_device("auto") == torch.device("cpu")
    assert resolve_device("cpu") == torch.device("cpu")


@pytest.mark.usefixtures("_no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_asked_for_and_absent_says_the_mend(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    monkeypatch.setattr(torch.version, "hip", None)
    with pytest.raises(EngineError, match=f"{name}.*CPU only; install a CUDA build"):
        resolve_device(name)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(EngineError, match=r"sees no GPU; check the driver"):
        resolve_device(name)


def test_a_gpu_number_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(EngineError, match=r"cuda:5' does not exist; torch sees cuda:0 to cuda:1"):
        resolve_device("cuda:5")


def test_a_gpu_that_does_not_compute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_kernel(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image is available")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    monkeypatch.setattr(torch, "ones", no_kernel)
    with pytest.raises(EngineError, match=r"no kernel image.*this one: sm_90"):
        resolve_device("cuda")
    assert resolve_device("auto") == torch.device("cpu")
    assert "using the CPU" in caplog.text


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "mps", "cpu:-3"])
def test_unknown_devices(name: str) -> None:
    with pytest.raises(EngineError, match="use auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def test_number_types(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert resolve_dtype("float16", cpu) is torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert resolve_dtype("auto", cuda) is torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert resolve_dtype("auto", cuda) is torch.float16
    with pytest.raises(EngineError, match="use auto, float32"):
        resolve_dtype("int8", cpu)


@pytest.mark.parametrize(
    ("instructions", "chosen"),
    [
        ({"avx512_f": True, "avx512_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": False, "amx_bf16": True}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx2": True}, torch.float32),
    ],
)
def test_a_processor_gets_the_number_type_that_it_multiplies(
    monkeypatch: pytest.MonkeyPatch, instructions: dict[str, bool], chosen: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: instructions)
    assert resolve_dtype("auto", torch.device("cpu")) is chosen
    assert resolve_dtype("float32", torch.device("cpu")) is torch.float32


def test_a_torch_too_old_to_say_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert resolve_dtype("auto", torch.device("cpu")) is torch.float32
