"""Model files: what is loaded is what was saved, and nothing that a file says is run."""

import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import Checkpoint, EarlyStopping, LRScheduler
from skorch.exceptions import DeviceWarning
from torch import nn

import sklearn_geoal
from sklearn_geoal import (
    DDALQueryStrategy,
    HyperbolicVAETransformer,
    LANDClassifier,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    RECALClusterer,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
    VAETransformer,
    load,
    save,
)
from sklearn_geoal._storage.description import Writer
from sklearn_geoal.augment import Flip, GaussianNoise
from sklearn_geoal.persistence import _MAGIC, _deep
from sklearn_geoal.preprocessing import (
    HyperbolicNeighborsTransformer,
    PatchTransformer,
    ReflectanceTransformer,
    SeriesInterpolator,
    SpatialWindow,
    SpectraScaler,
    ValidRows,
)

SMALL = {"hidden_units": (4,), "max_epochs": 2, "batch_size": 16, "random_state": 0}
WARM = {**SMALL, "warm_start": True}
IMAGES = {"image_shape": (1, 2, 2)}
X, Y = make_blobs(40, n_features=4, centers=3, cluster_std=2.0, random_state=0)
PARTLY = np.where(np.arange(40) < 10, Y, -1)
NAMES = np.array(["clover", "maize", "water"], dtype=object)
NAMED = np.where(PARTLY < 0, None, NAMES[PARTLY])
WITH_NAN = np.where(PARTLY < 0, np.nan, PARTLY)
FRAME = pd.DataFrame(X, columns=list("abcd"))

# by name an unfitted estimator and what it is fitted on
MODELS = {
    "vae": (VAETransformer(n_components=2, **WARM), (FRAME,)),
    "vae of images": (VAETransformer(n_components=2, **IMAGES, **SMALL), (X,)),
    "hyperbolic vae": (HyperbolicVAETransformer(n_components=2, curvature="learn", **WARM), (X,)),
    "net": (NetClassifier(**WARM), (X, NAMES[Y])),
    "net that stops early": (NetClassifier(early_stopping=True, callbacks=[EarlyStopping()], **SMALL), (X, Y)),
    "wide resnet": (NetClassifier("wide_resnet", **IMAGES, **SMALL | {"max_epochs": 1}), (X, Y)),
    "mixmatch": (MixMatchClassifier(**WARM), (X, WITH_NAN)),
    "mixmatch of images": (MixMatchClassifier(augment=[Flip(), GaussianNoise(0.2)], **IMAGES, **SMALL), (X, PARTLY)),
    "symmetric vae": (SymmetricVAEClassifier(**WARM), (FRAME, NAMED)),
    "recal": (RECALClusterer(3, n_components=4, n_init=2, init_epochs=1, overclustering=2, **WARM), (X,)),
    "mixmatch segmenter": (MixMatchSegmenter(**WARM), (X, PARTLY)),
    "symmetric vae segmenter": (SymmetricVAESegmenter(**WARM), (X, PARTLY)),
    "land": (LANDClassifier(random_state=0), (FRAME, NAMED)),
    "land in many dimensions": (LANDClassifier(random_state=0), (np.hstack([X] * 5), PARTLY)),
    "land by the forest": (LANDClassifier(propagation="forest", random_state=np.random.RandomState(3)), (X,)),
    "ddal": (DDALQueryStrategy(NetClassifier(**SMALL), random_state=0), (X, NAMED)),
    "ddal that knows nothing": (DDALQueryStrategy(LogisticRegression(), random_state=0), (X,)),
    "ddal by default": (DDALQueryStrategy(random_state=0, retrain_every=1), (X, PARTLY)),
    "pipeline": (
        make_pipeline(StandardScaler(), VAETransformer(n_components=2, **SMALL), LANDClassifier(random_state=0)),
        (FRAME, NAMED),
    ),
    "grid search": (
        GridSearchCV(
            make_pipeline(StandardScaler(), NetClassifier(**SMALL)),
            {"netclassifier__lr": [1e-3, 1e-2]},
            cv=StratifiedKFold(2),
            scoring="neg_log_loss",
        ),
        (X, Y),
    ),
    "hyperbolic neighbours": (HyperbolicNeighborsTransformer(5), (0.1 * X,)),
    "patches": (PatchTransformer((5, 8), size=2), (X,)),
    "windows": (SpatialWindow(scene_shape=(5, 8)), (X,)),
    "spectra": (SpectraScaler(), (X,)),
    "valid rows": (
        ValidRows(LANDClassifier(random_state=0)),
        (np.where(np.arange(40)[:, None] == 9, np.nan, X), PARTLY),
    ),
    "reflectance": (ReflectanceTransformer(), (np.abs(X),)),
    "series": (SeriesInterpolator(), (X,)),
    "parts of scikit-learn": (
        make_pipeline(FunctionTransformer(np.arctan), SelectKBest(k=3), KNeighborsClassifier()),
        (X, Y),
    ),
    "ball tree": (KNeighborsClassifier(algorithm="ball_tree", p=3), (X, Y)),
    "forest": (RandomForestClassifier(5, random_state=0), (X, Y)),
    "boosting": (GradientBoostingClassifier(n_estimators=3, random_state=0), (X, Y)),
    "linear": (SGDClassifier(loss="log_loss", random_state=0), (X, Y)),
    "gaussian process": (GaussianProcessClassifier(RBF(2.0), random_state=0), (X, Y)),
}


def answers(estimator, given):
    """All that a fitted estimator says of what it was fitted on."""
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    knows_nothing = not len(getattr(last, "labeled_indices_", [0]))
    said = {}
    for verb in ("predict", "predict_proba", "transform", "score_samples", "embed", "kneighbors_graph"):
        if hasattr(estimator, verb) and not knows_nothing:
            values = getattr(estimator, verb)(given[0])
            said[verb] = np.asarray(values.toarray() if sp.issparse(values) else values)
    for name in ("transduction_", "query_scores_", "labels_", "posterior_scale_", "feature_names_in_", "history_"):
        if hasattr(last, name):
            said[name] = np.asarray(getattr(last, name))
    if hasattr(last, "query"):
        said["query"] = last.query(4)
    return said


def go_on(estimator, given):
    """Go on with an estimator where it can: another fit from here, another pass, labels for what it asks."""
    last = estimator[-1] if hasattr(estimator, "steps") else estimator
    if hasattr(last, "teach"):
        asked = last.query(3)
        last.teach(asked, NAMES[Y[asked]] if len(given) > 1 and given[1] is NAMED else Y[asked])
    if getattr(last, "warm_start", False) is True:
        last.fit(*given)
    if hasattr(last, "partial_fit") and isinstance(last, VAETransformer):
        last.partial_fit(given[0])
    return estimator


def answer_in_another_process(folder):
    """What every saved model says, and what it says after it went on: called in a process of its own."""
    torch.set_num_threads(1)
    said = {}
    for name, (_, given) in MODELS.items():
        model = load(folder / name)
        said[name] = answers(model, given), answers(go_on(model, given), given)
    with (folder / "said").open("wb") as file:
        pickle.dump(said, file)


@pytest.fixture(scope="module")
def fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {name: clone(model).fit(*given) for name, (model, given) in MODELS.items()}


@pytest.fixture(scope="module")
def said_elsewhere(fitted, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, model in fitted.items():
        save(model, folder / name)
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path; "
        f"import test_persistence; test_persistence.answer_in_another_process(Path({str(folder)!r}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return pickle.loads((folder / "said").read_bytes())


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
        assert first[name].dtype == second[name].dtype


@pytest.mark.parametrize("name", MODELS)
def test_another_process_answers_the_same_and_goes_on_alike(name, fitted, said_elsewhere):
    given = MODELS[name][1]
    before, after = said_elsewhere[name]
    assert_same(answers(fitted[name], given), before)
    copy = pickle.loads(pickle.dumps(fitted[name]))  # the fixture is for all tests
    assert_same(answers(go_on(copy, given), given), after)


def test_no_estimator_is_missing():
    types = {type(model) for model, _ in MODELS.values()}
    assert {getattr(sklearn_geoal, name) for name in sklearn_geoal._ESTIMATORS} <= types
    public = [getattr(sklearn_geoal.preprocessing, name) for name in sklearn_geoal.preprocessing.__all__]
    assert {found for found in public if isinstance(found, type)} <= types


@pytest.mark.parametrize("name", MODELS)
def test_unfitted_estimator_comes_back_with_its_parameters(name, tmp_path):
    model = MODELS[name][0]
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert type(again) is type(model)
    assert repr(again.get_params()) == repr(model.get_params()) or "0x" in repr(model.get_params())
    assert clone(again) is not again


def test_files_of_networks_are_smaller_than_pickles(fitted, tmp_path):
    for name in ("vae", "net", "mixmatch", "recal"):
        save(fitted[name], tmp_path / "model")
        assert (tmp_path / "model").stat().st_size < len(pickle.dumps(fitted[name]))


def test_what_is_found_twice_is_one_thing(tmp_path):
    rng, data = np.random.RandomState(0), np.arange(1000.0).reshape(100, 10).T
    pipeline = make_pipeline(NetClassifier(random_state=rng), NetClassifier(random_state=rng))
    pipeline.data, pipeline.again = data, data
    save(pipeline, tmp_path / "model")
    again = load(tmp_path / "model")
    assert again[0].random_state is again[1].random_state
    assert again[0].random_state.rand() == rng.rand()
    assert again.data is again.again
    assert again.data.flags.f_contiguous  # products of matrices round otherwise in another order
    assert (tmp_path / "model").stat().st_size < 2 * data.nbytes


def test_values_of_many_kinds_come_back(tmp_path):
    values = {
        "plain": [
            None,
            True,
            3,
            2**70,
            0.1,
            float("inf"),
            "a\ud800",
            (1, (2,)),
            {1, 2},
            frozenset("a"),
            slice(1, None),
        ],
        "keys": {1: "a", "b": None, (1, 2): [3], None: 4},
        "types": [np.float32, np.dtype("<f4"), np.dtype([("a", "i4")]).names, nn.ReLU, torch.optim.SGD, int, np.log1p],
        "scalars": [np.float32(0.1), np.int64(3), np.str_("a"), np.datetime64("2026-01-01")],
        "path": Path("a") / "b",
    }
    arrays = [np.array([1 + 2j]), np.array(["ab", "c"]), np.array([[1, None], ["a", (2, 3)]], dtype=object)]
    arrays += [np.empty((0, 3)), np.array(3.0), np.zeros(2, dtype=[("a", ">i4"), ("b", "f8", (2,))]), np.arange(9)[::2]]
    model = StandardScaler()
    model.values, model.arrays = values, arrays
    model.masked = np.ma.MaskedArray([1.0, 2.0], mask=[True, False])
    model.generator = np.random.default_rng(3)
    save(model, tmp_path / "model")
    again = load(tmp_path / "model")
    assert repr(again.values) == repr(values)
    for a, b in zip(again.arrays, arrays, strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert again.masked.tolist() == [None, 2.0]
    assert again.generator.random() == model.generator.random()


def test_loading_land_leaves_torch_alone(fitted, tmp_path):
    save(fitted["land"], tmp_path / "model")
    code = f"import sys, sklearn_geoal; sklearn_geoal.load({str(tmp_path / 'model')!r}); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_callbacks_come_back_and_write_nothing(tmp_path):
    callbacks = [LRScheduler("StepLR", step_size=2), Checkpoint(dirname=str(tmp_path / "written"))]
    net = NetClassifier(net_params={"optimizer__weight_decay": 0.1}, **SMALL).fit(X, Y).set_params(callbacks=callbacks)
    save(net, tmp_path / "model")
    again = load(tmp_path / "model")
    assert [vars(callback).keys() for callback in again.callbacks] == [vars(callback).keys() for callback in callbacks]
    assert again.net_.optimizer__weight_decay == 0.1
    assert not (tmp_path / "written").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_what_was_fitted_on_cuda_loads_without_it(fitted, tmp_path, monkeypatch):
    expected = fitted["net"].predict_proba(X)
    monkeypatch.setattr(fitted["net"].net_, "device", "cuda:1")
    save(fitted["net"], tmp_path / "model")
    with pytest.warns(DeviceWarning, match="fitted on the device 'cuda:1', which is not here"):
        again = load(tmp_path / "model")
    assert again.net_.device == "cpu"
    np.testing.assert_array_equal(again.predict_proba(X), expected)


@pytest.mark.gpu
def test_net_on_cuda_comes_back_there(tmp_path):
    net = NetClassifier(device="cuda", **WARM).fit(X, Y)
    save(net, tmp_path / "model")
    again = load(tmp_path / "model")
    assert {parameter.device.type for parameter in again.net_.module_.parameters()} == {"cuda"}
    np.testing.assert_allclose(again.predict_proba(X), net.predict_proba(X), rtol=1e-5)
    again.fit(X, Y)


# what is the user's own


class OwnBackbone(nn.Module):
    """A network of one's own, with two names for one parameter."""

    def __init__(self, input_shape, n_outputs):
        super().__init__()
        self.first, self.last = nn.Linear(input_shape[0], 4), nn.Linear(4, n_outputs)
        self.twice = self.last.weight
        self.register_buffer("not_kept", torch.ones(4, dtype=torch.bfloat16), persistent=False)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)) * self.not_kept)


class Cube(TransformerMixin, BaseEstimator):
    """A transformer of one's own."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return np.asarray(X) ** 3


def halve(X):
    return X / 2


def test_own_backbone_has_to_be_trusted(tmp_path):
    net = NetClassifier(OwnBackbone, max_epochs=2, random_state=0).fit(X, Y)
    save(net, tmp_path / "model")
    with pytest.raises(ValueError, match=r"names test_persistence.OwnBackbone, .* load\(path, trusted=\[OwnBackbone\]"):
        load(tmp_path / "model")
    with pytest.raises(ValueError, match="OwnBackbone"):
        load(tmp_path / "model", trusted=[Cube])
    again = load(tmp_path / "model", trusted=[OwnBackbone])
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    backbone = again.net_.module_.backbone
    assert backbone.twice is backbone.last.weight
    assert "not_kept" not in backbone.state_dict()
    again.set_params(warm_start=True).fit(X, Y)


def test_own_transformer_and_functions_have_to_be_trusted(tmp_path):
    pipeline = make_pipeline(Cube(), FunctionTransformer(halve), MixMatchClassifier(augment=[partial(halve)], **SMALL))
    pipeline.fit(X, PARTLY)
    save(pipeline, tmp_path / "model")
    for some in ([], [Cube], [halve]):
        with pytest.raises(ValueError, match=r"trusted=\[(Cube|halve)\]"):
            load(tmp_path / "model", trusted=some)
    again = load(tmp_path / "model", trusted=[Cube, halve])
    np.testing.assert_array_equal(again.predict(X), pipeline.predict(X))


def test_what_was_of_a_script_may_be_trusted_from_a_module(tmp_path, monkeypatch):
    monkeypatch.setattr(OwnBackbone, "__module__", "__main__")
    save(NetClassifier(OwnBackbone), tmp_path / "model")
    monkeypatch.undo()
    assert load(tmp_path / "model", trusted=[OwnBackbone]).backbone is OwnBackbone


def test_only_classes_and_functions_are_trusted(tmp_path):
    save(NetClassifier(), tmp_path / "model")
    with pytest.raises(TypeError, match="must be a list of classes and functions; got .*: put it into a list"):
        load(tmp_path / "model", trusted=OwnBackbone)
    with pytest.raises(TypeError, match="takes classes and functions themselves; got 'os.system'"):
        load(tmp_path / "model", trusted=["os.system"])
    with pytest.raises(TypeError, match="trusted holds a lambda"):
        load(tmp_path / "model", trusted=[lambda x: x])


# what cannot be saved


def made_inside():
    def inner(X):
        return X

    return inner


def with_hook():
    net = NetClassifier(**SMALL).fit(X, Y)
    net.net_.module_.register_forward_hook(lambda *args: None)
    return net


def holding_itself():
    model = StandardScaler()
    model.mean_ = [model]
    return model


def deep_in_itself():
    model = StandardScaler()
    model.mean_ = []
    model.mean_.append(model.mean_)
    return model


def foreign_net():
    return NeuralNetClassifier(OwnBackbone, module__input_shape=(4,), module__n_outputs=3).initialize()


@pytest.mark.parametrize(
    "make, error",
    [
        (lambda: FunctionTransformer(lambda X: X), r"FunctionTransformer.func holds a lambda \(test_persistence"),
        (lambda: make_pipeline(FunctionTransformer(made_inside())), r"Pipeline.steps\[0\]\[1\].func holds a function"),
        (with_hook, "NetClassifier.net_ holds a Classifier with hooks"),
        (holding_itself, r"StandardScaler.mean_\[0\] holds a StandardScaler that holds itself"),
        (deep_in_itself, "StandardScaler.mean_.* holds containers that hold themselves"),
        (foreign_net, "a NeuralNetClassifier: of skorch's nets only those inside"),
        (lambda: IsotonicRegression().fit(X[:, 0], X[:, 1]), "f_ holds scipy.interpolate.interp1d"),
        (lambda: FunctionTransformer(np.load), "func holds numpy.load, which is none of"),
        (lambda: DDALQueryStrategy(missing_label=FRAME), "missing_label holds an object of pandas.*DataFrame"),
        (
            lambda: FunctionTransformer(kw_args={"a": (i for i in "b")}),
            r"kw_args\['a'\] holds an object of builtins.gene",
        ),
        (lambda: FunctionTransformer(kw_args=b"raw"), "kw_args holds an object of builtins.bytes"),
        (lambda: FunctionTransformer(kw_args=sp.lil_array((2, 2))), "holds a lil_array: .* convert it with tocsr"),
    ],
)
def test_what_cannot_be_saved_is_named_with_its_place(make, error, tmp_path):
    (tmp_path / "model").write_bytes(b"before")
    with pytest.raises(TypeError, match=error):
        save(make(), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == b"before"


def test_only_estimators_are_saved(tmp_path):
    for thing in ({"a": 1}, NetClassifier, None):
        with pytest.raises(TypeError, match="estimator must be an estimator"):
            save(thing, tmp_path / "model")


def test_file_is_replaced_by_a_whole_one_only(tmp_path, monkeypatch):
    save(StandardScaler(with_mean=False), tmp_path / "model")
    before = (tmp_path / "model").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(NetClassifier(), tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model").read_bytes() == before
    with pytest.raises(FileNotFoundError):
        save(NetClassifier(), tmp_path / "no" / "such" / "folder")


# versions


def written(path, estimator=None, *, values=b"", **changes):
    """A file with a right checksum of whatever is given."""
    described = {
        "format": 1,
        "versions": versions_here(),
        "estimator": estimator,
        "objects": [],
        "arrays": [],
    } | changes
    content = json.dumps(described).encode()
    whole = _MAGIC + len(content).to_bytes(8, "little") + content + values
    path.write_bytes(whole + hashlib.blake2b(whole, digest_size=32).digest())
    return path


def versions_here():
    return sklearn_geoal.persistence._versions()


PLAIN_ESTIMATOR = ["object", "sklearn.preprocessing:StandardScaler", {"copy": True}]


@pytest.mark.parametrize("name", ["sklearn_geoal", "scikit-learn"])
def test_other_versions_are_warned_of(name, tmp_path):
    path = written(tmp_path / "model", PLAIN_ESTIMATOR, versions=versions_here() | {name: "0.0.3"})
    with pytest.warns(UserWarning, match=rf"was written by {name} 0.0.3 \(here .*\): .* fit again") as caught:
        assert load(path).copy is True
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(written(tmp_path / "model", PLAIN_ESTIMATOR, versions=versions_here() | {"numpy": "0.0.3"}))
    assert set(versions_here()) == {"sklearn_geoal", "scikit-learn", "numpy", "scipy", "torch", "skorch", "python"}


def test_other_format_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="its format is 7, expected 1: it was written with .*sklearn_geoal"):
        load(written(tmp_path / "model", PLAIN_ESTIMATOR, format=7))


# damage


@pytest.fixture
def whole(tmp_path):
    save(LogisticRegression().fit(X, Y), tmp_path / "model")
    return (tmp_path / "model").read_bytes()


def test_a_flipped_bit_is_an_error_wherever_it_is(whole, tmp_path):
    places = {*range(48), *range(48, len(whole) - 48, 11), *range(len(whole) - 48, len(whole))}
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "model").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"model cannot be loaded: "):
            load(tmp_path / "model")


def test_a_file_that_is_too_short_or_too_long_is_an_error(whole, tmp_path):
    cut = [whole[:n_bytes] for n_bytes in (0, 1, 31, 32, 40, 52, 60, 200, len(whole) // 2, len(whole) - 1)]
    for content in (*cut, whole + b"\0", whole + whole, whole[:-32] + bytes(9) + whole[-32:]):
        (tmp_path / "model").write_bytes(content)
        with pytest.raises(ValueError, match=r"model cannot be loaded: "):
            load(tmp_path / "model")


def as_zip(compression=zipfile.ZIP_STORED, name="../../x", content=b"outside"):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(name, content)
    return file.getvalue()


class Runs:
    """Something whose unpickling makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("kind", ["pickle", "zip", "bomb", "npz"])
def test_files_of_other_kinds_are_not_opened(kind, tmp_path):
    sentinel = tmp_path / "sentinel"
    npz = io.BytesIO()
    np.savez(npz, a=np.array([Runs(sentinel)], dtype=object))
    contents = {
        "pickle": pickle.dumps(Runs(sentinel)),
        "zip": as_zip(),
        "bomb": as_zip(zipfile.ZIP_DEFLATED, "a", bytes(10**7)),
        "npz": npz.getvalue(),
    }
    (tmp_path / "model").write_bytes(contents[kind])
    with pytest.raises(ValueError, match=r"cannot be loaded: (it is no file that|the file ends too early)"):
        load(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


# malice: files with a right checksum


def test_a_huge_claim_allocates_nothing(tmp_path):
    path = tmp_path / "model"
    for arrays in (
        [["<f8", [10**15], "C"]],
        [["<f8", [2**40, 2**40], "C"]],
        [["|V1000000000000", [1], "C"]],
        [["<U0", [10**15], "C"]],
        [["<f8", [-1], "C"], ["<f8", [1], "C"]],
        [["<f8", [True], "C"]],
        [["<f8", [1e9], "C"]],
        [["<f8", "9", "C"]],
        [["|O", [1], "C"]],
        [[[["a", "|O"]], [1], "C"]],
        [["<f8", [1], "K"]],
        [["os.system", [1], "C"]],
        [["<f8", [0, *[2**40] * 9], "C"]],
        [["<f8", [0] * 99, "C"]],
        [["<f8", [2]]],
        [7],
        {"a": 1},
        None,
    ):
        with pytest.raises(ValueError, match="cannot be loaded: "):
            load(written(path, PLAIN_ESTIMATOR, arrays=arrays, values=bytes(8)))
    path.write_bytes(_MAGIC + (2**63).to_bytes(8, "little") + bytes(100))
    with pytest.raises(ValueError, match="ends too early"):
        load(path)
    for content in (b"[" * 10**5, b"[]", b"null", b'{"format": 1}', b"\xff\xfe", b"1" * 5000):
        whole = _MAGIC + len(content).to_bytes(8, "little") + content
        path.write_bytes(whole + hashlib.blake2b(whole, digest_size=32).digest())
        with pytest.raises(ValueError, match="cannot be loaded: "):
            load(path)


def holding(value):
    return ["object", "sklearn.preprocessing:StandardScaler", {"copy": value}]


NOT_FOUND = [
    "os:system",
    "posix:system",
    "subprocess:Popen",
    "builtins:eval",
    "builtins:exec",
    "builtins:open",
    "builtins:getattr",
    "builtins:type",
    "pathlib:Path",
    "numpy:load",
    "numpy:save",
    "numpy:fromfile",
    "numpy.lib.npyio:NpzFile",
    "scipy.special:sys",
    "torch:load",
    "torch.nn:os",
    "torch.hub:load",
    "torch.serialization:load",
    "torch.utils.cpp_extension:load",
    "torch.nn.functional:importlib",
    "torch.optim:os",
    "skorch.net:os",
    "skorch.utils:to_numpy",
    "skorch:NeuralNetClassifier",
    "joblib:load",
    "joblib:Memory",
    "sklearn.datasets:clear_data_home",
    "sklearn.datasets:fetch_openml",
    "sklearn.utils:Bunch",
    "sklearn.utils.estimator_checks:check_estimator",
    "sklearn.metrics:os",
    "sklearn.conftest:pytest",
    "sklearn.metrics._scorer:partial",
    "sklearn.tests.test_base:MyEstimator",
    "sklearn_geoal:save",
    "sklearn_geoal:load",
    "sklearn_geoal:persistence",
    "sklearn_geoal.persistence:Path",
    "sklearn_geoal.persistence:os",
    "sklearn_geoal._torch.checkpoints:Checkpoint",
    "sklearn_geoal._torch.checkpoints:write_tree",
    "sklearn_geoal._recal.training:pretrained",
    "sklearn_geoal.__main__:main",
    "sklearn_geoal.no_such_module:A",
    "sklearn.preprocessing:StandardScaler.fit",
    "sklearn.preprocessing:",
    ":",
    "",
    "../../x:y",
    "os",
    None,
    3,
    ["list"],
]


@pytest.mark.parametrize("name", NOT_FOUND)
def test_what_is_no_part_of_models_is_not_found(name, tmp_path, monkeypatch):
    sentinel = tmp_path / "sentinel"
    monkeypatch.chdir(tmp_path)
    run = ["list", f"touch {sentinel}"]
    attributes = {"args": run, "shell": True}
    for described in (
        ["object", name, attributes],
        ["name", name],
        ["partial", ["name", name], run, ["dict"]],
        ["named_tuple", name, *run[1:]],
        ["module", name, False, [], {}, {}, {}, attributes],
        ["net", name, ["dict"], None, ["list"], None],
    ):
        for objects, estimator in (([], described), ([], holding(described)), ([described], PLAIN_ESTIMATOR)):
            with pytest.raises(ValueError, match="cannot be loaded: "):
                load(written(tmp_path / "model", estimator, objects=objects))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize(
    "described",
    [
        ["pickle", "gASVIAAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAR0cnVllIWUUpQu"],
        ["reduce", "os:system", ["list", "true"]],
        ["bytes", "gASV"],
        ["kind_of"],
        [],
        [["list"]],
        [None],
        ["list", ["list", ["no such kind"]]],
        ["shared", 0],
        ["shared", -1],
        ["shared", True],
        ["shared", "0"],
        ["array", 0],
        ["array", -1],
        ["array", [10**9], 1, 2],
        ["array", [3], 1],
        ["scalar", 3],
        ["dtype", "no such"],
        ["object", "sklearn.preprocessing:StandardScaler", ["list"]],
        ["object", "sklearn.preprocessing:StandardScaler"],
        ["object", "builtins:int", {}],
        ["object", "numpy:float64", {}],
        ["object", "numpy:log1p", {}],
        ["object", "sklearn_geoal._active.graph:RandomWalk", {}],
        ["named_tuple", "sklearn_geoal._active.graph:RandomWalk", 1],
        ["named_tuple", "sklearn.preprocessing:StandardScaler", 1],
        ["sparse", "dia_array", 1, 2, 3, 4],
        ["sparse", "sys", 1, 2, 3, 4],
        ["kd_tree", "Popen", "euclidean", 40, ["list", 1], None, ["dict"]],
        ["kd_tree", "KDTree", ["name", "builtins:print"], 40, ["list", ["list", 1]], None, ["dict"]],
        [
            "kd_tree",
            "KDTree",
            "pyfunc",
            40,
            ["list", ["list", 1]],
            None,
            ["dict", ["func", ["name", "builtins:print"]]],
        ],
        ["loss", "Popen", ["list"]],
        ["loss", "Hinge", ["list", ["list"]]],
        ["random_state", ["dict", ["bit_generator", "os"]]],
        ["generator", ["dict", ["bit_generator", "os"]]],
        ["generator", ["dict", ["bit_generator", "PCG64"]]],
        ["decision_tree", ["dict", ["nodes", 3]]],
        ["module", "torch.nn:Linear", False, [], {}, {}, {}, {"_forward_hooks": 3}],
        ["module", "torch.nn:Linear", False, [], {"a": 3}, {}, {}, {}],
        ["module", "torch.optim:SGD", False, [], {}, {}, {}, {}],
        ["module", "sklearn.preprocessing:StandardScaler", False, [], {}, {}, {}, {}],
        ["net", "torch.nn:Linear", ["dict"], None, ["list"], None],
    ],
)
def test_what_no_file_says_is_an_error(described, tmp_path):
    with pytest.raises(ValueError, match="cannot be loaded: "):
        load(written(tmp_path / "model", holding(described)))
    if described[:1] != ["object"]:
        with pytest.raises(ValueError, match="cannot be loaded: "):
            load(written(tmp_path / "model", described))


def test_attributes_with_names_of_methods_run_nothing(tmp_path):
    attributes = {name: ["name", "builtins:print"] for name in ("__setstate__", "__reduce__", "__class__", "__init__")}
    again = load(written(tmp_path / "model", ["object", "sklearn.preprocessing:StandardScaler", attributes]))
    assert type(again) is StandardScaler


def described_by(value):
    """What a file holds of a value, to be tampered with."""
    writer = Writer(_deep)
    packed = writer.pack(value)
    return packed, writer


def tampered(path, value, change):
    """A file of a value, with a right checksum, whose arrays were changed."""
    packed, writer = described_by(value)
    arrays = [array.copy() for array in writer.arrays]
    change(arrays, writer.objects)
    return written(
        path,
        packed,
        objects=writer.objects,
        arrays=[[np.lib.format.dtype_to_descr(a.dtype), list(a.shape), "C"] for a in arrays],
        values=b"".join(a.tobytes() for a in arrays),
    )


@pytest.mark.parametrize(
    "field, value",
    [
        ("left_child", 10**6),
        ("right_child", 0),
        ("left_child", -7),
        ("right_child", 1),
        ("left_child", -1),
        ("feature", 99),
    ],
)
def test_decision_trees_that_lead_elsewhere_are_errors(field, value, fitted, tmp_path):
    def change(arrays, objects):
        nodes = next(array for array in arrays if array.dtype.names)
        nodes[field][0] = value

    with pytest.raises(ValueError, match="a node of a decision tree"):
        load(tampered(tmp_path / "model", fitted["forest"], change))


@pytest.mark.parametrize("name, value", [("max_depth", 0), ("n_outputs", 9), ("n_outputs", 0), ("n_features", 0)])
def test_decision_trees_of_other_sizes_are_errors(name, value, fitted, tmp_path):
    def change(arrays, objects):
        _, pairs = next(described for described in objects if described[0] == "decision_tree")
        pairs[1:] = [[key, value if key == name else item] for key, item in pairs[1:]]

    with pytest.raises(ValueError, match="a decision tree"):
        load(tampered(tmp_path / "model", fitted["forest"], change))


def test_sparse_matrices_with_indices_outside_are_errors(tmp_path):
    model = StandardScaler()
    model.W = sp.csr_array(np.eye(5))

    def change(arrays, objects):
        for array in arrays:
            if array.dtype.kind == "i" and array.size == 5:
                array[3] = 10**6

    with pytest.raises(ValueError, match="cannot be loaded: .*indices"):
        load(tampered(tmp_path / "model", model, change))


def test_tensors_take_no_more_than_there_is(fitted, tmp_path):
    def grow(part, value, arrays, objects):
        number = next(i for i, described in enumerate(objects) if described[0] == "tensor")
        objects[number][part] = value

    for part, value in ((2, "load"), (2, "float64"), (3, [10**12]), (3, [-4, -4]), (4, [10**9, 1]), (4, [-1, 1])):
        with pytest.raises(ValueError, match="cannot be loaded: "):
            load(tampered(tmp_path / "model", fitted["net"], partial(grow, part, value)))


@pytest.mark.parametrize(
    "name, value",
    [
        ("callbacks", ["list", ["object", "skorch.callbacks:Checkpoint", {"dirname": "sentinel"}]]),
        ("module__backbone", ["name", "builtins:print"]),
        ("initialized_", True),
        ("dataset", ["name", "builtins:print"]),
        ("optimizer", ["name", "builtins:print"]),
        ("device", "meta"),
    ],
)
def test_nets_take_no_other_parameters(name, value, fitted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def add(arrays, objects):
        net = next(described for described in objects if described[0] == "net")
        net[2] = [pair for pair in net[2] if pair[0] != name] + [[name, value]]

    with pytest.raises(ValueError, match="cannot be loaded: "):
        load(tampered(tmp_path / "model", fitted["net"], add))
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_saved_object_with_a_reduce_of_its_own_is_an_error_and_does_not_run(tmp_path):
    with pytest.raises(TypeError, match="holds an object of test_persistence.Runs, which is more than its attributes"):
        save(FunctionTransformer(kw_args={"a": Runs(tmp_path / "sentinel")}), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_file_holds_no_pickle(fitted, tmp_path):
    for model in fitted.values():
        save(model, tmp_path / "model")
        content = (tmp_path / "model").read_bytes()
        n_bytes = int.from_bytes(content[len(_MAGIC) :][:8], "little")
        described = json.loads(content[len(_MAGIC) + 8 :][:n_bytes])
        assert all("O" not in str(dtype) for dtype, _, _ in described["arrays"])
