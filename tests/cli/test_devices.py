"""`neuro devices`: the list, one device with its sources, and names that are refused."""

from __future__ import annotations

from neuro.metrics import devices, refused
from tests.cli.conftest import Neuro


def test_devices_are_listed_and_the_refused_ones_with_the_reason(neuro: Neuro) -> None:
    done = neuro("devices")
    assert done.exit_code == 0, done.output
    for name in devices():
        assert f"│ {name} " in done.stdout, name
    for name, reason in refused().items():
        assert f"{name}: refused: {reason}." in done.stdout


def test_one_device_shows_every_figure_with_its_source(neuro: Neuro) -> None:
    for name, device in devices().items():
        done = neuro("devices", name)
        assert done.exit_code == 0, done.output
        for place, figure in device.figures().items():
            assert f"  {place} " in done.stdout
            assert f"{figure.value:g}" in done.stdout
            for source in figure.sources:
                assert f"] {source}" in done.stdout
        for part, (status, note) in device.without.items():
            assert part in done.stdout
            assert f"{status}: {note}" in done.stdout
        for note in device.notes:
            assert f"note: {note}" in done.stdout
    assert (
        "synaptic.event         23.6 (23.6 to 35.5) pJ   secondary, simulated [1, 2, 3]"
        in neuro("devices", "loihi").stdout
    )


def test_unknown_devices_are_refused(neuro: Neuro) -> None:
    for name, text in (("lohi", "Did you mean 'loihi'?"), ("loihi2", "no energy of its operations is published")):
        done = neuro("devices", name)
        assert done.exit_code == 2
        assert f"device '{name}': " in done.stderr
        assert text in done.stderr
