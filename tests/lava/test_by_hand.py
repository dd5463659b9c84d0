"""Test the golden model against Lava's stock Processes, in nets that are written by hand against Lava's API."""

from __future__ import annotations

from .conftest import Inside


def test_a_recurrent_net_of_stock_neurons_equals_the_golden_model(by_hand: Inside) -> None:
    found = by_hand("recurrent_net")
    assert found["differ"] == {f"{n} {s}": 0 for n in "ab" for s in "zuv"}
    assert found["shape"] == {"a": [150, 8], "b": [150, 6]}
    assert found["spikes"]["a"] > 200
    assert found["spikes"]["b"] > 50
    assert min(found["largest"].values()) > 10_000, found["largest"]
    assert max(found["largest"][key] for key in ("a u", "b u")) < 2**23, "this net must stay where both agree"


def test_v_clips_alike(by_hand: Inside) -> None:
    found = by_hand("clipped_v")
    assert found["differ"] == {"n z": 0, "n u": 0, "n v": 0}
    assert found["largest"]["n v"] == 2**23 - 1
    assert found["clips"] == 32


def test_lavas_u_wraps_where_ours_clips(by_hand: Inside) -> None:
    # The paragraph in docs/backends.md says this; from here on the two part.
    found = by_hand("wrap")
    up = found["up"]
    assert up["lava"][:4] == up["ours"][:4] == [2088960, 4177410, 6265350, 8352780]
    assert up["lava"][4:] == [-6337516, -4247008, -2157011, -67524], "the fifth sum, 10439700, less 2**24"
    assert up["ours"][4:] == [2**23 - 1] * 4
    assert up["clips"] == [0, 0, 0, 0, 1, 1, 1, 1]
    down = found["down"]
    assert down["lava"] == [-x for x in up["lava"]]
    assert down["ours"] == [-x for x in up["ours"]]
    assert down["clips"] == up["clips"]


def test_the_edge_of_u_is_not_lavas_own(by_hand: Inside) -> None:
    # A sum of exactly 2**23 does not wrap, though it has no place in 24 bits; one of -2**23 changes its sign.
    found = by_hand("wrap")
    assert found["upper edge"] == {"lava": [2**23], "ours": [2**23 - 1], "clips": [1]}
    assert found["lower edge"] == {"lava": [2**23], "ours": [-(2**23 - 1)], "clips": [1]}
