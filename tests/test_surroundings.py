"""What surrounds a fit does not reach into it: modes and defaults of torch, threads of workers; callbacks of skorch."""

import pickle
from contextlib import contextmanager

import joblib
import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from skorch import callbacks
from torch import nn

import sklearn_geoal
from sklearn_geoal import (
    DDALQueryStrategy,
    HyperbolicVAETransformer,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    RECALClusterer,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
    VAETransformer,
)
from sklearn_geoal._nets.wide_resnet import Block

RNG = np.random.RandomState(0)
ROWS, IMAGES = RNG.randn(40, 5), RNG.rand(8, 3, 16, 16).astype(np.float32)
Y, PARTLY = np.arange(40) % 2, np.where(np.arange(40) % 3 == 0, np.arange(40) % 2, -1)
MASKS, FEW = RNG.randint(0, 3, (8, 16, 16)), np.array([0, 1, 0, 1, -1, -1, -1, -1])
SMALL = {"max_epochs": 2, "random_state": 0}

# name -> estimator, X, y, the verb whose result is compared
CASES = {
    "vae": (lambda: VAETransformer(2, **SMALL), ROWS, None, "transform"),
    "convolutional vae": (lambda: VAETransformer(2, **SMALL), IMAGES, None, "transform"),
    "hyperbolic vae": (lambda: HyperbolicVAETransformer(2, **SMALL), ROWS, None, "transform"),
    "recal": (lambda: RECALClusterer(3, n_init=2, **SMALL), ROWS, None, "predict_proba"),
    "mixmatch": (lambda: MixMatchClassifier(**SMALL), ROWS, PARTLY, "predict_proba"),
    "mixmatch of images": (lambda: MixMatchClassifier(**SMALL), IMAGES, FEW, "predict_proba"),
    "mixmatch segmenter": (lambda: MixMatchSegmenter(hidden_units=(4, 8), **SMALL), IMAGES, MASKS, "predict_proba"),
    "symmetric vae": (lambda: SymmetricVAEClassifier(**SMALL), ROWS, PARTLY, "predict_proba"),
    "symmetric segmenter": (lambda: SymmetricVAESegmenter(**SMALL), IMAGES, MASKS, "predict_proba"),
    "net": (lambda: NetClassifier(early_stopping=True, **SMALL), ROWS, Y, "predict_proba"),
    "ddal": (lambda: DDALQueryStrategy(NetClassifier(**SMALL), random_state=0), ROWS, PARTLY, "predict_proba"),
}


def fitted(name):
    make, X, y, verb = CASES[name]
    model = make().fit(X, y)
    return model, getattr(model, verb)(X)


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device():
    torch.set_default_device("meta")
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


SURROUNDINGS = {
    "double precision": default_dtype,
    "meta device": default_device,
    "inference mode": torch.inference_mode,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "deterministic": deterministic,
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", CASES)
def test_modes_and_defaults_of_torch_change_nothing(name, tmp_path):
    model, expected = fitted(name)
    _, X, _, verb = CASES[name]
    for surroundings, enter in SURROUNDINGS.items():
        with enter():
            was = torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled()
            within, got = fitted(name)
            np.testing.assert_array_equal(got, expected, err_msg=surroundings)
            np.testing.assert_array_equal(getattr(model, verb)(X), expected, err_msg=surroundings)
            sklearn_geoal.save(within, tmp_path / "model.geoal")
            again = sklearn_geoal.load(tmp_path / "model.geoal")
            assert was == (torch.get_default_dtype(), torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        for copy in (again, pickle.loads(pickle.dumps(within))):
            np.testing.assert_array_equal(getattr(copy, verb)(X), expected, err_msg=surroundings)


def test_a_training_goes_on_outside_of_the_mode_that_it_began_in():
    make, X, y, _ = CASES["net"]
    expected = make().set_params(warm_start=True).fit(X, y).fit(X, y).predict_proba(X)
    model = make().set_params(warm_start=True)
    with torch.inference_mode():
        model.fit(X, y)
        model = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.fit(X, y).predict_proba(X), expected)


def test_workers_with_as_many_threads_give_what_one_process_gives():
    search = GridSearchCV(NetClassifier(**SMALL), {"hidden_units": [(8,), (16, 8)]}, cv=3)
    here = search.fit(ROWS, Y).cv_results_["mean_test_score"]
    with joblib.parallel_config(inner_max_num_threads=torch.get_num_threads(), backend="loky"):
        there = search.set_params(n_jobs=2).fit(ROWS, Y).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(there, here)


# --- callbacks of skorch ----------------------------------------------------------------------------------------------

WORKING = {
    "Checkpoint": lambda folder: callbacks.Checkpoint(dirname=folder),
    "Checkpoint of the best training loss": lambda folder: callbacks.Checkpoint("train_loss_best", dirname=folder),
    "TrainEndCheckpoint": lambda folder: callbacks.TrainEndCheckpoint(dirname=folder),
    "EarlyStopping": lambda folder: callbacks.EarlyStopping(patience=1),
    "LRScheduler": lambda folder: callbacks.LRScheduler("StepLR", step_size=1),
    "plateaus": lambda folder: callbacks.LRScheduler("ReduceLROnPlateau", monitor="valid_loss"),
    "PrintLog": lambda folder: callbacks.PrintLog(sink=lambda text: None),
    "EpochTimer": lambda folder: callbacks.EpochTimer(),
    "GradientNormClipping": lambda folder: callbacks.GradientNormClipping(1.0),
    "Freezer": lambda folder: callbacks.Freezer("*.bias"),
}
REFUSED = {
    "EpochScoring": (
        lambda: callbacks.EpochScoring("accuracy"),
        "cannot work here. Use early_stopping=True",
    ),
    "BatchScoring": (lambda: ("score", callbacks.BatchScoring("accuracy")), "cannot work here"),
    "ProgressBar": (lambda: callbacks.ProgressBar, "cannot work here. Use verbose=1"),
    "InputShapeSetter": (lambda: callbacks.InputShapeSetter(), "cannot work here"),
    "Checkpoint": (
        lambda: callbacks.Checkpoint(),
        "monitor='valid_loss_best', but no rows are held out.*train_loss_best",
    ),
    "EarlyStopping": (lambda: callbacks.EarlyStopping(), "monitor='valid_loss', but no rows are held out"),
}


def deep(name):
    return [case for case in CASES if case != "ddal" and "segmenter" not in case] if name == "Checkpoint" else ["net"]


@pytest.mark.parametrize("name", WORKING)
def test_callbacks_that_skorch_s_users_expect_work(name, tmp_path):
    for case in deep(name):
        make, X, y, verb = CASES[case]
        model = make().set_params(callbacks=[WORKING[name](str(tmp_path))], early_stopping=True, max_epochs=3)
        model.fit(X, y)
        assert np.isfinite(getattr(model, verb)(X)).all()
        assert not any(key.endswith("_best") for key in model.history_[0])


def test_a_checkpoint_of_skorch_s_holds_the_best_weights(tmp_path):
    make, X, y, _ = CASES["net"]
    best = callbacks.Checkpoint(dirname=str(tmp_path))
    model = make().set_params(callbacks=[best], max_epochs=30, lr=0.3).fit(X, y)
    other = make().fit(X, y)
    other.net_.load_params(f_params=str(tmp_path / "params.pt"))
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


def test_parameters_of_a_fitted_net_are_saved_and_loaded_as_skorch_does_it(tmp_path):
    make, X, y, _ = CASES["net"]
    model, other = make().fit(X, y), make().set_params(random_state=1).fit(X, y)
    model.net_.save_params(f_params=str(tmp_path / "net.pt"))
    assert not np.array_equal(other.predict_proba(X), model.predict_proba(X))
    other.net_.load_params(f_params=str(tmp_path / "net.pt"))
    np.testing.assert_array_equal(other.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize("name", REFUSED)
def test_other_callbacks_are_refused_by_name(name):
    make, message = REFUSED[name]
    for case in ("recal", "vae", "mixmatch", "symmetric vae"):
        model, X, y, _ = CASES[case]
        with pytest.raises(ValueError, match=f"callbacks has skorch's {name}.*{message}"):
            model().set_params(callbacks=[make()]).fit(X, y)


def test_net_params_are_what_the_guide_says():
    make, X, y, _ = CASES["net"]
    model = make().set_params(net_params={"optimizer__weight_decay": 0.5}).fit(X, y)
    assert model.net_.get_params()["optimizer__weight_decay"] == 0.5
    clipping = ("clip", callbacks.GradientNormClipping(1.0))
    model = make().set_params(callbacks=[clipping], net_params={"callbacks__clip__gradient_clip_value": 0.1}).fit(X, y)
    assert dict(model.net_.callbacks_)["clip"].gradient_clip_value == 0.1
    with pytest.raises(ValueError, match="net_params takes names that begin with .*; got 'compile'"):
        make().set_params(net_params={"compile": True}).fit(X, y)


# --- an operation that writes beyond its memory -----------------------------------------------------------------------


def test_a_block_has_no_strided_convolution_of_one_pixel_and_computes_the_same():
    block = Block(4, 6, stride=2, normalize_skip=False)
    assert not any(isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and m.stride != (1, 1) for m in block.modules())
    x = torch.randn(3, 4, 9, 8)
    expected = nn.functional.conv2d(x, block.skip.weight, stride=2)
    block.conv2.weight.data.zero_()
    torch.testing.assert_close(block(x), expected)


def test_narrow_wide_residual_networks_train_on_small_images():
    images = np.random.RandomState(0).rand(12, 2, 8, 8)
    for seed in range(3):
        net = NetClassifier(backbone="wide_resnet", hidden_units=(4, 4, 4), max_epochs=2, random_state=seed)
        assert np.isfinite(net.fit(images, np.arange(12) % 2).predict_proba(images)).all()
