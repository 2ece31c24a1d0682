"""genossl in scikit-learn: its own checks of estimators, and what users put transformers into."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import genossl
from genossl.api.transformers import GenomeEmbedder, KmerProfile
from genossl.genome import kmers
from genossl.genome.alphabet import decode, encode

LETTERS = decode(np.random.default_rng(0).integers(0, 4, 150).astype(np.uint8))

# ---- scikit-learn's own checks

MATRIX = "gives transform a matrix of numbers, and a sequence is letters"
LOOKS_AT_X = "wants fit to refuse a sparse matrix; fit reads nothing, and transform refuses it"
LENGTHS = "wants sequences of another length refused, and any length goes in"
GIVEN_NUMBERS = {
    "check_fit_score_takes_y": MATRIX,
    "check_estimators_dtypes": MATRIX,
    "check_pipeline_consistency": MATRIX,
    "check_estimator_sparse_tag": LOOKS_AT_X,
    "check_estimators_pickle": MATRIX,
    "check_f_contiguous_array_estimator": MATRIX,
    "check_transformer_general": MATRIX,
    "check_methods_sample_order_invariance": MATRIX,
    "check_methods_subset_invariance": MATRIX,
    "check_dict_unchanged": MATRIX,
    "check_fit_idempotent": MATRIX,
}
STATELESS = {"check_transformers_unfitted_stateless": MATRIX}  # asked of what needs no fit
SPELLED = {"check_estimator_sparse_tag": LOOKS_AT_X}
FITTED = {"check_transformer_general": LENGTHS}  # asked of what needs one
STATUSES = ("passed", "failed", "skipped")


class Matrices:
    """Told to scikit-learn as a transformer of matrices, since it checks no other."""

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, True
        return tags


class Spelled(Matrices):
    """Takes a matrix of numbers for DNA, a row for 40 bases."""

    def transform(self, X: Any) -> np.ndarray:
        digits = np.floor(np.resize(np.asarray(X, float).T * 1000, (40, len(X)))).T.astype(int) % 4
        return super().transform([decode(row.astype(np.uint8)) for row in digits])  # type: ignore[misc]


class EmbedderGivenNumbers(Matrices, GenomeEmbedder): ...


class EmbedderGivenDNA(Spelled, GenomeEmbedder): ...


class ProfileGivenNumbers(Matrices, KmerProfile): ...


class ProfileGivenDNA(Spelled, KmerProfile): ...


@pytest.mark.parametrize(
    "kind,cannot",
    [
        (EmbedderGivenNumbers, GIVEN_NUMBERS),
        (ProfileGivenNumbers, GIVEN_NUMBERS | STATELESS),
        (EmbedderGivenDNA, SPELLED | FITTED),
        (ProfileGivenDNA, SPELLED),
    ],
)
def test_scikit_learns_checks(tiny_run: Path, kind: type, cannot: dict[str, str]) -> None:
    """Those that cannot apply fail, for the reason above, and no others: one that starts to pass is to be struck."""
    estimator = kind()
    if issubclass(kind, GenomeEmbedder):
        estimator.set_params(checkpoint=tiny_run, device="cpu")
    results = check_estimator(estimator, on_fail=None, on_skip=None)
    by = {status: {r["check_name"]: r["exception"] for r in results if r["status"] == status} for status in STATUSES}
    assert set(by["failed"]) == set(cannot), by["failed"]
    assert set(by["skipped"]) <= {"check_array_api_input"}  # of an experiment that has to be switched on
    assert sum(map(len, by.values())) > 30


def test_a_column_of_text_is_what_it_tells_scikit_learn(tiny_run: Path) -> None:
    for estimator in (GenomeEmbedder(tiny_run), KmerProfile()):
        tags = estimator.__sklearn_tags__().input_tags
        assert (tags.string, tags.one_d_array, tags.two_d_array) == (True, True, False)
        with pytest.warns(SkipTestWarning, match="requires input  of type"):  # why the checks above tell it otherwise
            check_estimator(estimator)


# ---- what users put them into


def of_two_kinds(n: int) -> tuple[list[str], np.ndarray]:
    """Sequences that are rich in AT (0) or in GC (1), in turns."""
    rng, y = np.random.default_rng(0), np.arange(n) % 2
    shares = [[0.4, 0.1, 0.1, 0.4], [0.1, 0.4, 0.4, 0.1]]
    return ["".join(rng.choice(list("ACGT"), 100, p=shares[c])) for c in y], y


@pytest.fixture(scope="module")
def embedder(tiny_run: Path) -> GenomeEmbedder:
    return GenomeEmbedder(tiny_run, device="cpu").fit()


def test_in_a_pipeline(tiny_run: Path) -> None:
    X, y = of_two_kinds(40)
    pipeline = make_pipeline(GenomeEmbedder(tiny_run, device="cpu"), LogisticRegression()).fit(X, y)
    assert pipeline.score(X, y) > 0.9
    again = clone(pipeline).set_params(genomeembedder__pool="mean")
    assert again.fit(X, y).named_steps["genomeembedder"].get_params()["pool"] == "mean"
    assert pipeline.get_params()["genomeembedder__pool"] == "last"


def test_a_search_over_its_parameters_in_two_processes(tiny_run: Path) -> None:
    X, y = of_two_kinds(24)
    grid = {"embed__pool": ["last", "both"], "embed__both_strands": [True, False]}
    steps = [
        ("embed", GenomeEmbedder(tiny_run, device="cpu")),
        ("scale", StandardScaler()),
        ("head", LogisticRegression()),
    ]
    search = GridSearchCV(Pipeline(steps), grid, cv=2, n_jobs=2).fit(pd.Series(X), y)
    assert len(search.cv_results_["params"]) == 4
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()
    alone = GridSearchCV(Pipeline(steps), grid, cv=2).fit(pd.Series(X), y)
    assert search.cv_results_["mean_test_score"].tolist() == alone.cv_results_["mean_test_score"].tolist()


def test_beside_k_mers_and_beside_other_columns(tiny_run: Path, embedder: GenomeEmbedder) -> None:
    X, _ = of_two_kinds(6)
    ours, theirs = embedder.transform(X), kmers.profiles([encode(x) for x in X], 2)
    union = FeatureUnion([("ours", GenomeEmbedder(tiny_run, device="cpu")), ("kmers", KmerProfile(2))])
    np.testing.assert_array_equal(union.fit_transform(X), np.hstack([ours, theirs]))
    assert union.get_feature_names_out()[[0, 8]].tolist() == ["ours__genossl0", "kmers__AA"]
    frame = pd.DataFrame({"TAG": X, "length": range(6)})
    for column in ("TAG", ["TAG"]):  # a Series, and a frame of one column
        both = ColumnTransformer(
            [("dna", GenomeEmbedder(tiny_run, device="cpu"), column), ("n", "passthrough", ["length"])]
        )
        found = both.set_output(transform="pandas").fit_transform(frame)
        assert found.columns[-1] == "n__length"
        np.testing.assert_array_equal(found.iloc[:, :8], ours)


@pytest.mark.parametrize("kind,library", [("pandas", pd), ("polars", polars)])
def test_frames_come_out(embedder: GenomeEmbedder, kind: str, library: Any) -> None:
    X, _ = of_two_kinds(4)
    found = clone(embedder).set_output(transform=kind).fit_transform(X)
    assert isinstance(found, library.DataFrame)
    assert list(found.columns) == [f"genossl{i}" for i in range(8)]
    np.testing.assert_array_equal(found.to_numpy(), embedder.transform(X))


@pytest.mark.parametrize("form", [pd.Series, polars.Series, np.array, tuple, lambda X: np.array(X, object)])
def test_columns_of_any_library_go_in(embedder: GenomeEmbedder, form: Any) -> None:
    X, _ = of_two_kinds(4)
    np.testing.assert_array_equal(embedder.transform(form(X)), embedder.transform(X))


def test_a_fitted_one_travels_without_its_checkpoint(embedder: GenomeEmbedder) -> None:
    X, _ = of_two_kinds(4)
    expected = embedder.transform(X)
    stream = io.BytesIO()
    joblib.dump(embedder, stream)
    for found in (pickle.loads(pickle.dumps(embedder)), joblib.load(io.BytesIO(stream.getvalue()))):
        found.checkpoint = "gone"
        np.testing.assert_array_equal(found.transform(X), expected)


def test_labels_and_a_second_fit_change_nothing(tiny_run: Path) -> None:
    X, y = of_two_kinds(6)
    one = GenomeEmbedder(tiny_run, device="cpu")
    np.testing.assert_array_equal(one.fit(X, y).transform(X), one.fit(X).transform(X))


def test_k_mers_by_hand() -> None:
    """ "AAAC" has AA, AA, AC; on the other strand GTTT has GT = AC, TT = AA, TT."""
    both, one = KmerProfile(2), KmerProfile(2, canonical=False)
    for profile, kinds in ((both, 10), (one, 16)):
        names = profile.get_feature_names_out().tolist()
        found = dict(zip(names, profile.transform(["AAAC"])[0], strict=True))
        assert len(names) == kinds
        assert {name: round(float(share), 6) for name, share in found.items() if share} == {
            "AA": 0.666667,
            "AC": 0.333333,
        }
    assert dict(zip(one.get_feature_names_out(), one.transform(["GTTT"])[0], strict=True))["TT"] == pytest.approx(2 / 3)
    np.testing.assert_array_equal(both.transform(["GTTT"]), both.transform(["AAAC"]))
    for wrong in (0, 9):
        with pytest.raises(genossl.InputError, match=f"k {wrong}: must be from 1 to 8"):
            KmerProfile(wrong).fit()
    with pytest.raises(genossl.InputError, match="sequence 1: is empty"):
        KmerProfile().transform(["ACGT", ""])


def test_the_embedder_alone(tiny_run: Path) -> None:
    embedder = genossl.GenomeEmbedder(tiny_run, pool="both", both_strands=False, device="cpu")
    assert embedder.get_params() == {
        "checkpoint": tiny_run, "pool": "both", "both_strands": False, "device": "cpu", "precision": "auto",
    }  # fmt: skip
    with pytest.raises(NotFittedError):
        embedder.get_feature_names_out()
    with pytest.raises(NotFittedError):
        embedder.transform([LETTERS])
    expected = genossl.embed(genossl.load_encoder(tiny_run, "cpu"), [LETTERS], "both", False)
    np.testing.assert_allclose(embedder.fit_transform([LETTERS]), expected, rtol=1e-5, atol=1e-6)
    frame = embedder.set_output(transform="pandas").transform([LETTERS, LETTERS])
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == [f"genossl{i}" for i in range(16)]
    with pytest.raises(genossl.InputError, match=r"no such folder|holds no encoder\.json"):
        genossl.GenomeEmbedder().fit([LETTERS])
    with pytest.raises(genossl.InputError, match="pool 'max' is unknown"):
        genossl.GenomeEmbedder(tiny_run, pool="max").fit()  # type: ignore[arg-type]
