"""What every estimator that trains a network promises: how it starts, goes on, fails, stops, resumes and repeats."""

import itertools
import json
import multiprocessing
import os
import pickle
import resource
import signal
import warnings
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

import sklearn_geoal
from sklearn_geoal import (
    HyperbolicVAETransformer,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    RECALClusterer,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
    VAETransformer,
)
from sklearn_geoal._torch.fitting import DeepEstimator
from sklearn_geoal._torch.training import TensorNet

SMALL = {"hidden_units": (8,), "max_epochs": 4, "batch_size": 16, "random_state": 0}
ESTIMATORS = [
    VAETransformer(n_components=2, **SMALL),
    HyperbolicVAETransformer(n_components=2, **SMALL),
    NetClassifier(**SMALL),
    MixMatchClassifier(**SMALL),
    SymmetricVAEClassifier(**SMALL),
    RECALClusterer(3, n_components=4, n_init=2, init_epochs=2, overclustering=2, **SMALL),
    MixMatchSegmenter(**SMALL),
    SymmetricVAESegmenter(**SMALL),
]
# the same, but so that the first epochs are those of any longer training: what is scheduled over all epochs is not
FLAT = {"lr_schedule": "constant", "warmup": 0.0}
# a parameter that the network is made with, and another value of it
BUILT_IN = {"hidden_units": (4,)}


def name(estimator):
    return type(estimator).__name__


each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
autoencoders = pytest.mark.parametrize("estimator", ESTIMATORS[:2], ids=name)


def with_params(estimator, **changes):
    """A clone with the changed parameters, of those that it has."""
    estimator = clone(estimator)
    return estimator.set_params(**{key: value for key, value in changes.items() if key in estimator.get_params()})


def data(estimator, seed=0):
    """Forty rows, and for the semi-supervised labels of a quarter of them."""
    X, y = make_blobs(40, n_features=4, centers=3, cluster_std=2.0, random_state=seed)
    if hasattr(estimator, "missing_label"):
        y = np.where(np.arange(40) < 10, y, -1)
    return X, y


def outputs(estimator, X):
    """All that a fitted estimator says."""
    verbs = [verb for verb in ("predict", "predict_proba", "transform") if hasattr(estimator, verb)]
    attributes = [a for a in ("transduction_", "labels_", "masks_", "posterior_scale_") if hasattr(estimator, a)]
    said = [getattr(estimator, verb)(X) for verb in verbs] + [getattr(estimator, a) for a in attributes]
    return [*said, np.array([row["train_loss"] for row in estimator.history_])]


def weights(estimator):
    return [tensor.clone() for tensor in estimator.net_.module_.state_dict().values()]


def assert_same(first, second):
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_same_fit(first, second, X):
    assert_same(weights(first), weights(second))
    assert_same(outputs(first, X), outputs(second, X))
    assert first.history_ == second.history_


def is_fitted(estimator):
    return any(attribute.endswith("_") for attribute in vars(estimator))


class Raises(Callback):
    """Raises an error in the middle of a training epoch."""

    def __init__(self, error, epoch):
        self.error, self.epoch = error, epoch

    def on_batch_end(self, net, training=False, **kwargs):
        if training and len(net.history) == self.epoch:
            raise self.error


class Stops(Callback):
    """Ends the training as skorch's callbacks do."""

    def __init__(self, epoch):
        self.epoch, self.n_calls = epoch, 0

    def on_epoch_end(self, net, **kwargs):
        self.n_calls += 1
        if len(net.history) == self.epoch:
            raise KeyboardInterrupt


def test_no_deep_estimator_is_missing():
    all_of_them = [getattr(sklearn_geoal, each_name) for each_name in sklearn_geoal._ESTIMATORS]
    assert {c for c in all_of_them if issubclass(c, DeepEstimator)} == set(map(type, ESTIMATORS))


# the same again


@each
def test_seed_alone_decides_and_global_generators_are_left_alone(estimator):
    X, y = data(estimator)
    states = pickle.dumps(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    model = clone(estimator).fit(X, y)
    np.random.default_rng()
    torch.rand(3)
    assert_same_fit(model, clone(estimator).fit(X, y), X)
    other = with_params(estimator, random_state=1).fit(X, y)
    assert not all(map(torch.equal, weights(model), weights(other)))
    torch.set_rng_state(states[1])
    with_params(estimator, random_state=None).fit(X, y)
    assert pickle.dumps(np.random.get_state()) == states[0]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), states[1])


@each
@pytest.mark.parametrize("warm_start", [False, True])
def test_copies_go_on_alike(estimator, warm_start):
    X, y = data(estimator)
    model = with_params(estimator, warm_start=warm_start).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    assert_same_fit(model, copy, X)
    assert_same_fit(model.fit(X, y), copy.fit(X, y), X)


@each
def test_batches_of_the_training_are_not_those_of_the_inference(estimator):
    X, y = data(estimator)
    model = clone(estimator).fit(X, y)
    said = outputs(model, X)
    model.net_.batch_size = 2
    assert_same(outputs(model, X), said)


# several fits


@each
def test_warm_start_goes_on_with_a_copy(estimator):
    X, y = data(estimator)
    model = with_params(estimator, warm_start=True).fit(X, y)
    net, first = model.net_, model.history_
    before = weights(model)
    model.fit(X, y)
    assert model.history_[:4] == first
    assert [row["epoch"] for row in model.history_] == list(range(1, 9))
    assert not all(map(torch.equal, weights(model), before))
    assert_same(net.module_.state_dict().values(), before)
    assert isinstance(model.net_.module, type)  # an instance would be pickled a second time


@each
def test_warm_start_needs_the_network_as_it_was(estimator):
    X, y = data(estimator)
    model = with_params(estimator, warm_start=True).fit(X, y)
    before = outputs(model, X)
    with pytest.raises(ValueError, match=r"The network was made with .*hidden_units.* Set them back"):
        model.set_params(**BUILT_IN).fit(X, y)
    assert_same(outputs(model.set_params(hidden_units=(8,)), X), before)
    if is_classifier(estimator):
        with pytest.raises(ValueError, match=r"new classes \[7\].*made for \[0, 1, 2\]"):
            model.fit(X, np.where(np.arange(40) == 0, 7, y))
        assert_same(outputs(model, X), before)


@each
def test_training_that_goes_on_takes_the_parameters_of_today(estimator):
    X, y = data(estimator)
    model = with_params(estimator, warm_start=True, optimizer="adamw", lr=1e-2).fit(X, y)
    before = weights(model)
    moments = [state["exp_avg"].clone() for state in model.net_.optimizer_.state.values()]
    changes = {"lr": 1e-9, "batch_size": 8, "net_params": {"optimizer__weight_decay": 0.25}}
    model.set_params(**changes, **{key: 0.0 for key in ("weight_decay",) if key in model.get_params()}, max_epochs=1)
    model.fit(X, y)
    (group,) = model.net_.optimizer_.param_groups
    assert (group["lr"], group["weight_decay"], model.net_.batch_size) == (1e-9, 0.25, 8)
    if not isinstance(model, MixMatchClassifier | MixMatchSegmenter):  # whose average goes on moving
        trained = dict(model.net_.module_.named_parameters())
        names = [key for key in model.net_.module_.state_dict() if key in trained]
        old = dict(zip(model.net_.module_.state_dict(), before, strict=True))
        for key in names:
            torch.testing.assert_close(trained[key].detach(), old[key], rtol=1e-5, atol=1e-6)
    assert moments and len(model.net_.optimizer_.state) == len(moments)  # the same kind of optimiser goes on
    model.set_params(optimizer="sgd", net_params=None).fit(X, y)
    assert isinstance(model.net_.optimizer_, torch.optim.SGD)


# what ends a training early


@each
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, FloatingPointError])
def test_fit_that_is_broken_off_changes_nothing(estimator, error):
    X, y = data(estimator)
    model = with_params(estimator, callbacks=[Raises(error, epoch=2)])
    with pytest.raises(error):
        model.fit(X, y)
    assert not is_fitted(model)
    model.set_params(callbacks=None).fit(X, y)
    state = dict(vars(model))
    before = outputs(model, X)
    with pytest.raises(error):
        model.set_params(callbacks=[Raises(error, epoch=2)]).fit(*data(estimator, seed=1))
    assert vars(model) == state | {"callbacks": model.callbacks}
    assert_same(outputs(model, X), before)


@each
def test_fit_on_bad_data_changes_nothing(estimator):
    X, y = data(estimator)
    model = clone(estimator).fit(X, y)
    before = outputs(model, X)
    bad_fits = [(np.full((40, 3), np.nan), y), (X[:1], y[:1])]
    if is_classifier(estimator):
        bad_fits += [(X[:, :3], y[:-1]), (X[:, :3], np.full(40, np.inf))]
    for bad_X, bad_y in bad_fits:
        with pytest.raises(ValueError):
            model.fit(bad_X, bad_y)
        assert_same(outputs(model, X), before)


@each
def test_diverged_training_is_an_error_and_changes_nothing(estimator):
    X, y = data(estimator)
    model = clone(estimator).fit(X, y)
    before = outputs(model, X)
    with pytest.raises(FloatingPointError, match="try a smaller lr"):
        model.set_params(lr=1e30, optimizer="sgd", max_epochs=6).fit(X, y)
    assert_same(outputs(model, X), before)


@each
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_interrupted_warm_start_stands_at_the_last_completed_epoch(estimator, error):
    X, y = data(estimator)
    model = with_params(estimator, warm_start=True, callbacks=[Raises(error, epoch=3)], **FLAT)
    with pytest.raises(error):
        model.fit(X, y)
    expected = with_params(estimator, warm_start=True, max_epochs=2, **FLAT).fit(X, y)
    assert_same_fit(model, expected, X)
    assert len(model.set_params(callbacks=None).fit(X, y).history_) == 6
    before = outputs(model, X)
    with pytest.raises(error):
        model.set_params(callbacks=[Raises(error, epoch=7)]).fit(3 * X[:30], y[:30])
    assert_same(outputs(model, X), before)
    first_epoch = with_params(estimator, warm_start=True, callbacks=[Raises(error, epoch=1)])
    with pytest.raises(error):
        first_epoch.fit(X, y)
    assert not is_fitted(first_epoch)


@autoencoders
def test_partial_fit(estimator):
    X, _ = data(estimator)
    model = with_params(estimator, callbacks=[Raises(KeyboardInterrupt, epoch=2)]).partial_fit(X)
    before = [*outputs(model, X), model.score_samples(X)]
    with pytest.raises(KeyboardInterrupt):
        model.partial_fit(3 * X)
    assert_same([*outputs(model, X), model.score_samples(X)], before)
    assert len(model.set_params(callbacks=None).partial_fit(X).history_) == 2
    model.set_params(lr=1e-5).partial_fit(X)
    assert model.net_.optimizer_.param_groups[0]["lr"] == 1e-5


# when it stops


@each
def test_early_stopping_goes_back_to_the_best_epoch(estimator):
    X, y = data(estimator)
    if hasattr(estimator, "missing_label"):
        y = np.where(np.arange(40) < 30, make_blobs(40, n_features=4, centers=3, random_state=0)[1], -1)
    early = {"early_stopping": True, "validation_fraction": 0.3, "patience": 2, "max_epochs": 30, "lr": 0.1}
    model = with_params(estimator, **early).fit(X, y)
    losses = [row["valid_loss"] for row in model.history_]
    best = int(np.argmin(losses))
    assert len(losses) in (30, best + 1 + 2)
    assert np.isfinite(losses).all()
    assert len(set(losses)) > 1
    with_constant_lr = {**early, **FLAT}
    stopped = with_params(estimator, **with_constant_lr).fit(X, y)
    best = int(np.argmin([row["valid_loss"] for row in stopped.history_])) + 1
    expected = with_params(estimator, **with_constant_lr | {"max_epochs": best}).fit(X, y)
    names = [key for key in stopped.net_.module_.state_dict() if key != "noise_variance"]  # measured afterwards
    states = stopped.net_.module_.state_dict(), expected.net_.module_.state_dict()
    assert_same(*([state[key] for key in names] for state in states))


@each
@pytest.mark.parametrize("value", ["yes", 1, None])
def test_switches_are_booleans(estimator, value):
    for switch in ("early_stopping", "warm_start"):
        with pytest.raises(TypeError, match=f"{switch} must be an instance of bool"):
            with_params(estimator, **{switch: value}).fit(*data(estimator))


@each
def test_validation_loss_that_is_not_finite_is_an_error(estimator, monkeypatch):
    module = type(estimator)._module_class
    forward = module.forward

    def nan_in_validation(self, *batch, generator=None):
        loss = forward(self, *batch, generator=generator)
        return loss if self.training else loss * float("nan")

    monkeypatch.setattr(module, "forward", nan_in_validation)
    with pytest.raises(FloatingPointError, match="validation loss is nan in epoch 1"):
        with_params(estimator, early_stopping=True, validation_fraction=0.3).fit(*data(estimator))


@each
def test_callback_may_end_the_training_and_is_not_changed(estimator):
    X, y = data(estimator)
    callback = Stops(2)
    one_training = {"n_init": 1, "overclustering": 1}
    model = with_params(estimator, callbacks=[callback], **one_training).fit(X, y)
    assert len(model.history_) == 2
    assert callback.n_calls == 0
    assert [c.n_calls for _, c in model.net_.callbacks_] == [2]
    stopping = EarlyStopping(monitor="train_loss", patience=1, threshold=1e9, threshold_mode="abs")
    model = with_params(estimator, callbacks=[stopping], max_epochs=9, **one_training).fit(X, y)
    assert len(model.history_) < 9


@each
def test_progress_bar_only_if_verbose(estimator, capsys):
    X, y = data(estimator)
    clone(estimator).fit(X, y)
    assert capsys.readouterr() == ("", "")
    with_params(estimator, verbose=1).fit(X, y)
    shown = capsys.readouterr().err
    assert "4/4" in shown
    assert "train_loss" in shown


# checkpoints


@each
def test_what_is_finished_is_not_trained_again(estimator, tmp_path):
    X, y = data(estimator)
    plain = clone(estimator).fit(X, y)
    model = with_params(estimator, checkpoint=tmp_path).fit(X, y)
    assert_same_fit(model, plain, X)
    again = with_params(estimator, checkpoint=tmp_path, callbacks=None)
    assert_same_fit(again.fit(X, y), plain, X)


def in_another_process(function, *args):
    """Exit status of a function that runs in a process of its own, on one thread as this one does."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sklearn_geoal._recal.clusterer", "sklearn_geoal._symmetric_vae.segmenter"])
    process = context.Process(target=function, args=args)
    process.start()
    process.join()
    return process.exitcode


def fit_and_die(index, folder, at_step):
    """Train until a step that kills the process with signal 9."""
    torch.set_num_threads(1)
    steps, train_step = itertools.count(1), TensorNet.train_step

    def deadly_step(self, *args, **kwargs):
        if next(steps) == at_step:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(self, *args, **kwargs)

    TensorNet.train_step = deadly_step
    estimator = with_params(ESTIMATORS[index], checkpoint=folder)
    estimator.fit(*data(estimator))


class CountsSteps(Callback):
    """Counts in the class: an instance that is given as a parameter stays as it was."""

    n_steps = 0

    def on_batch_end(self, net, training=False, **kwargs):
        CountsSteps.n_steps += training


def n_steps_of_fit(estimator):
    """Steps of a whole fit, the starts included."""
    CountsSteps.n_steps = 0
    with_params(estimator, callbacks=[CountsSteps()]).fit(*data(estimator))
    return CountsSteps.n_steps


@pytest.mark.parametrize("index", range(len(ESTIMATORS)), ids=[name(estimator) for estimator in ESTIMATORS])
def test_killed_training_goes_on_and_ends_bit_for_bit(index, tmp_path):
    estimator = ESTIMATORS[index]
    X, y = data(estimator)
    undisturbed = clone(estimator).fit(X, y)
    at_step = int(np.random.default_rng().integers(2, n_steps_of_fit(estimator)))
    assert in_another_process(fit_and_die, index, tmp_path, at_step) == -signal.SIGKILL
    resumed = with_params(estimator, checkpoint=tmp_path, callbacks=None).fit(X, y)
    assert_same_fit(resumed, undisturbed, X)


@each
def test_interrupted_training_goes_on_from_the_last_epoch(estimator, tmp_path):
    X, y = data(estimator)
    early = {"early_stopping": True, "validation_fraction": 0.3, "patience": 3}
    undisturbed = with_params(estimator, **early).fit(X, y)
    model = with_params(estimator, checkpoint=tmp_path, **early)
    original = type(model)._net_class.after_epoch
    calls = []

    def after_epoch(self, rows, order):
        original(self, rows, order)
        calls.append(len(self.history))
        if len(calls) == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model)._net_class, "after_epoch", after_epoch)
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, y)
        assert not is_fitted(model)
        n_before = len(calls)
        model.fit(X, y)
    n_epochs = len(undisturbed.history_) + sum(2 for _ in range(getattr(model, "n_init", 0)))
    assert len(calls) - n_before == n_epochs - 2  # none of those that were completed
    assert_same_fit(model, undisturbed, X)


@each
def test_without_a_random_state_the_seed_is_that_of_the_beginning(estimator, tmp_path):
    X, y = data(estimator)
    first = with_params(estimator, checkpoint=tmp_path, random_state=None).fit(X, y)
    second = with_params(estimator, checkpoint=tmp_path, random_state=None).fit(X, y)
    assert_same_fit(first, second, X)


@each
def test_truncated_checkpoint_costs_one_epoch(estimator, tmp_path):
    X, y = data(estimator)
    undisturbed = with_params(estimator, checkpoint=tmp_path).fit(X, y)
    newest = max(tmp_path.glob("training-*.npz"), key=lambda path: path.stat().st_mtime_ns)
    content = newest.read_bytes()
    for damaged in (content[: len(content) // 2], b"", content[:-200] + bytes(200), b"not a file of arrays"):
        newest.write_bytes(damaged)
        with pytest.warns(UserWarning, match=r"training-\d.npz cannot be read"):
            resumed = with_params(estimator, checkpoint=tmp_path).fit(X, y)
        assert_same_fit(resumed, undisturbed, X)
        assert newest.read_bytes() != damaged


@each
def test_checkpoint_of_another_training_is_an_error_that_names_what_differs(estimator, tmp_path):
    X, y = data(estimator)
    with_params(estimator, checkpoint=tmp_path).fit(X, y)
    with pytest.raises(ValueError, match=r"of another training \(lr was .*, is 0.5\): .* another folder"):
        with_params(estimator, checkpoint=tmp_path, lr=0.5).fit(X, y)
    changed = X.copy()
    changed[5, 2] += 1e-3
    with pytest.raises(ValueError, match=r"of another training \(X was an array with the hash \w+, is"):
        with_params(estimator, checkpoint=tmp_path).fit(changed, y)
    if is_classifier(estimator):
        with pytest.raises(ValueError, match=r"of another training \(y was an array with the hash"):
            with_params(estimator, checkpoint=tmp_path).fit(X, np.where(np.arange(40) == 0, (y + 1) % 3, y))
    with pytest.raises(ValueError, match="checkpoint must be a folder; got .*, which is a file"):
        with_params(estimator, checkpoint=next(tmp_path.glob("*.npz"))).fit(X, y)


@each
def test_verbose_and_the_place_of_the_folder_do_not_matter(estimator, tmp_path, capsys):
    X, y = data(estimator)
    first = with_params(estimator, checkpoint=str(tmp_path / "a" / "b")).fit(X, y)
    (tmp_path / "a").rename(tmp_path / "c")
    second = with_params(estimator, checkpoint=tmp_path / "c" / "b", verbose=1).fit(X, y)
    assert_same_fit(first, second, X)


@each
def test_warm_start_takes_the_folder_of_the_fit_before(estimator, tmp_path):
    X, y = data(estimator)
    plain = with_params(estimator, warm_start=True).fit(X, y)
    kept = with_params(estimator, warm_start=True, checkpoint=tmp_path).fit(X, y)
    copy = pickle.loads(pickle.dumps(kept))
    assert_same_fit(kept.fit(X, y), plain.fit(X, y), X)
    assert_same_fit(copy.fit(X, y), plain, X)  # reads what the other has written
    with pytest.raises(ValueError, match="start was weights with the hash .*, is initial weights"):
        with_params(estimator, warm_start=True, checkpoint=tmp_path).fit(X, y)


class FillsTheDisk(Callback):
    """From an epoch on no file may grow beyond a thousand bytes."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))


def fit_on_a_full_disk(folder):
    torch.set_num_threads(1)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    estimator = with_params(ESTIMATORS[0], checkpoint=folder, callbacks=[FillsTheDisk()])
    try:
        estimator.fit(*data(estimator))
    except OSError as error:
        os._exit(3 if "could not be written" in str(error) and not is_fitted(estimator) else 4)


def test_full_disk_leaves_the_last_good_state(tmp_path, monkeypatch):
    assert in_another_process(fit_on_a_full_disk, tmp_path) == 3
    assert not list(tmp_path.glob("*.tmp"))
    monkeypatch.setattr(FillsTheDisk, "on_epoch_end", lambda self, net, **kwargs: None)
    X, y = data(ESTIMATORS[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = with_params(ESTIMATORS[0], checkpoint=tmp_path, callbacks=[FillsTheDisk()]).fit(X, y)
    assert_same_fit(resumed, clone(ESTIMATORS[0]).fit(X, y), X)


def test_callbacks_go_on_where_they_were(tmp_path):
    X, y = data(ESTIMATORS[2])
    callbacks = [LRScheduler("StepLR", step_size=2, gamma=0.5), EarlyStopping(monitor="train_loss", patience=50)]
    params = {"callbacks": callbacks, "max_epochs": 8, "lr_schedule": "constant"}
    undisturbed = with_params(ESTIMATORS[2], **params).fit(X, y)
    fit_and_kill_in_epoch(tmp_path, params)
    resumed = with_params(ESTIMATORS[2], checkpoint=tmp_path, **params).fit(X, y)
    assert_same_fit(resumed, undisturbed, X)
    rates = [row["event_lr"] for row in resumed.history_]
    assert rates == [row["event_lr"] for row in undisturbed.history_]
    assert rates[0] == 8 * rates[-1]


def fit_and_kill_in_epoch(folder, params):
    model = with_params(ESTIMATORS[2], checkpoint=folder, **params)
    original = model._net_class.after_epoch

    def after_epoch(self, rows, order):
        original(self, rows, order)
        if len(self.history) == 6:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model._net_class, "after_epoch", after_epoch)
        with pytest.raises(KeyboardInterrupt):
            model.fit(*data(model))


def test_checkpoint_holds_no_pickle(tmp_path):
    with_params(ESTIMATORS[0], checkpoint=tmp_path).fit(*data(ESTIMATORS[0]))
    files = sorted(tmp_path.iterdir())
    assert [path.name for path in files] == ["training-0.npz", "training-1.npz"]
    for path in files:
        with np.load(path, allow_pickle=False) as file:
            assert all(file[key].dtype == np.uint8 for key in file.files)
            json.loads(file["tree"].tobytes())


# threads


@each
def test_trainings_in_threads_are_those_of_one_after_the_other(estimator):
    seeds = range(8)
    X, y = data(estimator)
    references = [with_params(estimator, random_state=seed).fit(X, y) for seed in seeds]
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda seed: with_params(estimator, random_state=seed).fit(X, y), seeds))
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(references, threaded, strict=True):
        assert_same_fit(a, b, X)


class Dropout(nn.Sequential):
    """A network of one's own, whose draws nobody can hand a generator."""

    def __init__(self, input_shape, n_outputs):
        super().__init__(nn.Linear(input_shape[0], 16), nn.Dropout(0.5), nn.RReLU(), nn.Linear(16, n_outputs))


def noisy(x):
    return x + 0.1 * torch.randn_like(x)


@pytest.mark.parametrize(
    "estimator",
    [NetClassifier(Dropout, max_epochs=5), MixMatchClassifier(Dropout, augment=[noisy], max_epochs=2)],
    ids=name,
)
def test_draws_of_the_user_come_from_our_generators_too(estimator):
    X, y = data(estimator)
    references = [with_params(estimator, random_state=seed).fit(X, y) for seed in range(4)]
    state = torch.get_rng_state()
    torch.manual_seed(5)
    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(lambda seed: with_params(estimator, random_state=seed).fit(X, y), range(4)))
    for a, b in zip(references, threaded, strict=True):
        assert_same_fit(a, b, X)
    torch.set_rng_state(state)
    assert len({model.history_[-1]["train_loss"] for model in references}) == 4


def test_embeddings_in_threads_are_each_ones_own():
    X, y = data(ESTIMATORS[2])
    model = clone(ESTIMATORS[2]).fit(X, y)
    blocks = [X[i : i + 1 + i % 7] for i in range(30)] * 4
    expected = [model.embed(block) for block in blocks]
    with ThreadPoolExecutor(4) as pool:
        embedded = list(pool.map(model.embed, blocks))
    assert_same(embedded, expected)
    assert not any(module._forward_pre_hooks for module in model.net_.module_.modules())


@each
def test_grid_search_in_threads_is_that_in_one(estimator):
    X, y = make_blobs(40, n_features=4, centers=3, cluster_std=2.0, random_state=0)
    pipeline = make_pipeline(clone(estimator))
    if not is_classifier(estimator):
        pipeline = make_pipeline(clone(estimator), LogisticRegression())
    grid = {f"{name(estimator).lower()}__lr": [1e-3, 1e-2, 3e-2]}
    scores = [GridSearchCV(pipeline, grid, cv=2, error_score="raise", n_jobs=n_jobs) for n_jobs in (None, 4, 4)]
    with joblib.parallel_config(backend="threading"):
        means = [search.fit(X, y).cv_results_["mean_test_score"] for search in scores]
    np.testing.assert_array_equal(means[0], means[1])
    np.testing.assert_array_equal(means[0], means[2])
