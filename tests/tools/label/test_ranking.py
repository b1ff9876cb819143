"""Which image comes next."""

import numpy as np

from tools.label.features import body_share, described, standardized
from tools.label.ranking import AGAIN_SECONDS, Scores, covering, free, several, uncertain, with_foreground

IDS = ["a", "b", "c", "d"]


def test_scores_count_for_the_weights_that_made_them(tmp_path):
    scores = Scores(tmp_path / "scores" / "la.json")
    assert scores.of("0001") == {}
    scores.put("a", "0001", score=0.2, foreground=0.1)
    scores.put("b", "0002", score=0.9, foreground=0.3)
    assert list(scores.of("0001")) == ["a"] and scores.of("0002")["b"]["score"] == 0.9
    scores.put("a", "0002", score=0.4, foreground=0.1)
    assert scores.of("0001") == {} and len(Scores(scores.path).of("0002")) == 2
    scores.path.write_text("[", encoding="utf-8")
    assert scores.of("0002") == {}


def test_the_most_uncertain_image_comes_first_and_new_ones_come_up():
    known = {"a": {"score": 0.1}, "b": {"score": 0.7}, "c": {"score": 0.2}}
    choice = uncertain(IDS, known)
    assert (choice.id, choice.score) == ("b", 0.7) and "highest of 3" in choice.reason
    assert uncertain(["a", "c", "d"], known).id == "c"
    assert uncertain(["a", "d"], {"a": {"score": 0.1}, "c": {"score": 0.9}}).id == "a"  # c is no candidate
    assert uncertain(["x", "y"], known).id == "x" and uncertain([], known) is None
    assert uncertain(["a", "b"], {"a": {"score": 0.1}, "b": {"score": None}}).id == "a"


def test_nobody_is_given_an_image_twice_within_the_hour():
    now = 10_000.0
    assert free(["a", "b"], {"a": now - 10}, now) == ["b"]
    assert free(["a", "b"], {"a": now - AGAIN_SECONDS - 1}, now) == ["a", "b"]
    assert free(["a"], {"a": now}, now) == ["a"]


def test_coverage_starts_in_the_middle_and_goes_to_the_far_ends():
    at = {id: np.array([x]) for id, x in zip(IDS, (0.0, 0.4, 1.0, 9.0))}
    assert covering(IDS, at, []).id == "b"  # the median is 0.7
    assert covering(["a", "c", "d"], at, ["b"]).id == "d"
    first = several(3, IDS, lambda ids, taken: covering(ids, at, taken))
    assert [choice.id for choice in first] == ["b", "d", "c"]
    assert covering(["x"], at, []).id == "x" and covering([], at, []) is None


def test_random_draws_only_where_there_is_something_to_label():
    shares = {"a": 0.0, "b": 0.2, "c": 0.0001}
    drawn = {with_foreground(["a", "b", "c"], shares, seed).id for seed in range(20)}
    assert drawn == {"b"}
    drawn = {with_foreground(IDS, shares, seed).id for seed in range(40)}
    assert drawn == {"b", "d"}  # nobody has looked at d
    assert {with_foreground(IDS, {}, seed).id for seed in range(60)} == set(IDS)
    assert with_foreground(IDS, shares, 3) == with_foreground(IDS, shares, 3)
    assert with_foreground(["a"], {"a": 0.0}, 1).id == "a" and with_foreground([], {}) is None


def test_features_tell_alike_from_unlike():
    generator = np.random.default_rng(0)
    base = np.zeros((20, 16, 12))
    base[5:12, 4:10, 3:8] = 1
    images = {f"n{k}": base + 0.02 * generator.standard_normal(base.shape) for k in range(4)}
    images["flipped"] = base[::-1]
    found = standardized({id: described(image, (1, 1, 2)) for id, image in images.items()})
    near, far = np.linalg.norm(found["n0"] - found["n1"]), np.linalg.norm(found["n0"] - found["flipped"])
    assert far > 1.5 * near and covering(list(found), found, ["n0", "n1"]).id == "flipped"
    assert standardized({}) == {}
    mixed = {"a": np.ones(3), "b": np.ones(3), "picture": np.ones(2)}
    assert set(standardized(mixed)) == {"a", "b"}


def test_the_share_of_an_image_that_is_body():
    image = np.zeros((20, 20))
    image[:10] = 100
    assert abs(body_share(image + np.random.default_rng(0).standard_normal(image.shape)) - 0.5) < 0.01
    assert body_share(np.ones((5, 5))) == 0
