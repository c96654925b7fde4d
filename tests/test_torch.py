"""The torch core: devices, seeds, batches, the training loop, inference."""

import math
import pickle
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sklearn_geoal._torch import (
    as_tensor,
    check_torch_params,
    cycled,
    draw_seed,
    epochs_as_dicts,
    forget_optimizer,
    infer,
    iterate_batches,
    make_net,
    resolve_device,
    resolve_optimizer,
    seeded,
    split_rows,
    train,
)


class Regression(nn.Module):
    """Linear least squares; ``seen`` keeps the rows of every batch."""

    def __init__(self, n_features, batch_norm=False):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(n_features) if batch_norm else nn.Identity())
        self.layers.append(nn.Linear(n_features, 1))
        self.seen = []

    def forward(self, x, y):
        self.seen.append(x.detach().clone())
        return ((self.predict(x) - y) ** 2).mean()

    def predict(self, x):
        return self.layers(x).squeeze(1)


class Recorder(Callback):
    """Counts calls and raises ``error`` at a given batch or at the end of a given epoch."""

    def __init__(self, error=None, at_batch=None, at_epoch_end=None):
        self.error, self.at_batch, self.at_epoch_end = error, at_batch, at_epoch_end
        self.n_batches = self.n_epochs = 0

    def on_batch_begin(self, net, training=False, **kwargs):
        self.n_batches += training
        if self.at_batch is not None and self.n_batches == self.at_batch:
            raise self.error

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1
        if self.n_epochs == self.at_epoch_end:
            raise self.error


def torch_params(**changes):
    params = {
        "max_epochs": 3,
        "batch_size": 8,
        "lr": 0.1,
        "optimizer": "adam",
        "device": "cpu",
        "validation_fraction": 0.1,
        "patience": 2,
        "callbacks": None,
        "net_params": None,
    }
    return SimpleNamespace(**{**params, **changes})


def regression_data(n_samples=50, n_features=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    return as_tensor(X), as_tensor(X @ np.arange(1, n_features + 1) + 0.1 * rng.normal(size=n_samples))


def fitted_net(data, seed=0, valid_data=None, batch_norm=False, max_epochs=3, lr_schedule="constant", **changes):
    options = {name: changes.pop(name) for name in ("patience_to_stop", "before_epoch") if name in changes}
    with seeded(seed):
        net = make_net(torch_params(**changes), Regression, {"n_features": data[0].shape[1], "batch_norm": batch_norm})
        train(
            net,
            data,
            valid_data,
            max_epochs=max_epochs,
            seed=seed,
            patience=options.get("patience_to_stop"),
            lr_schedule=lr_schedule,
            before_epoch=options.get("before_epoch"),
        )
    return net


def weights(net):
    return torch.cat([parameter.detach().ravel() for parameter in net.module_.parameters()])


# device, optimiser, seeds


def test_auto_device_is_one_that_is_there():
    assert resolve_device(resolve_device("auto")) == resolve_device("auto")
    assert resolve_device("cpu") == resolve_device(torch.device("cpu")) == "cpu"


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps"])
def test_absent_device_is_an_error_that_says_so(device):
    present = torch.cuda.is_available() if device.startswith("cuda") else torch.backends.mps.is_available()
    if present:
        pytest.skip(f"this machine has the device {device}")
    with pytest.raises(ValueError, match=rf"device='{device}' was asked for, but PyTorch finds 0"):
        resolve_device(device)


@pytest.mark.parametrize("device", ["gpu", "meta", None, 3.5])
def test_unknown_device_is_an_error(device):
    with pytest.raises(ValueError, match="device must be"):
        resolve_device(device)


def test_optimizer_by_name_or_class():
    assert resolve_optimizer("adamw") is resolve_optimizer("AdamW") is resolve_optimizer(torch.optim.AdamW)


@pytest.mark.parametrize("optimizer", ["adamm", "optimizer", "lr_scheduler", None, nn.Linear, torch.optim])
def test_unknown_optimizer_is_an_error(optimizer):
    with pytest.raises(ValueError, match=r"optimizer must be .*'adam'"):
        resolve_optimizer(optimizer)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batch_size": 1}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"max_epochs": 0}, "max_epochs"),
        ({"lr": 0}, "lr"),
        ({"lr": "fast"}, "lr"),
        ({"validation_fraction": 1.0}, "validation_fraction"),
        ({"patience": 0}, "patience"),
        ({"callbacks": "all"}, "callbacks must be an instance of list"),
        ({"net_params": [1]}, "net_params must be an instance of dict"),
        ({"net_params": {"lr": 1.0}}, "net_params takes names that begin .*; got 'lr'"),
        ({"net_params": {"iterator_train__shuffle": True}}, "iterator_train__shuffle"),
    ],
)
def test_invalid_torch_params(changes, message):
    check_torch_params(torch_params(net_params={"optimizer__weight_decay": 0.1}))
    with pytest.raises((ValueError, TypeError), match=message):
        check_torch_params(torch_params(**changes))


@pytest.mark.parametrize("random_state", [None, 0])
def test_global_generators_are_left_alone(random_state):
    numpy_state, torch_state = pickle.dumps(np.random.get_state()), torch.get_rng_state()  # noqa: NPY002
    fitted_net(regression_data(), draw_seed(random_state))
    assert pickle.dumps(np.random.get_state()) == numpy_state  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_seeded_blocks_repeat_and_survive_errors():
    state = torch.get_rng_state()
    with seeded(1):
        first = torch.rand(3)
    with pytest.raises(RuntimeError), seeded(1):
        assert torch.equal(torch.rand(3), first)
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), state)


def test_draw_seed_is_fixed_by_an_integer_and_advances_a_generator():
    rng = np.random.RandomState(0)
    assert draw_seed(0) == draw_seed(0) == draw_seed(rng) != draw_seed(rng)
    assert draw_seed(None) != draw_seed(None)


# tensors and batches


@pytest.mark.parametrize("change", [lambda a: a[::-1], lambda a: a.T, lambda a: a.astype(np.float32)[:, ::2]])
def test_as_tensor_takes_any_layout(change):
    array = change(np.arange(12.0).reshape(3, 4))
    array.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tensor = as_tensor(array)
    assert tensor.dtype == torch.float32
    np.testing.assert_array_equal(tensor, array)


@pytest.mark.parametrize("n_rows", [1, 2, 7, 8, 9, 16, 17])
@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_a_partition_without_a_lone_last_row(n_rows, shuffle):
    X, y = torch.arange(n_rows * 2.0).view(n_rows, 2), torch.arange(n_rows)
    generator = torch.Generator().manual_seed(0) if shuffle else None
    batches = list(iterate_batches((X, y), 8, generator=generator))
    rows = torch.cat([batch_y for _, batch_y in batches])
    assert sorted(rows.tolist()) == list(range(n_rows))
    assert torch.equal(torch.cat([batch_X for batch_X, _ in batches]), X[rows])
    assert shuffle or torch.equal(rows, y)
    sizes = [len(batch_y) for _, batch_y in batches]
    assert max(sizes) <= 9
    assert n_rows == 1 or min(sizes) > 1


@pytest.mark.parametrize("n_rows, length", [(5, 20), (5, 23), (7, 3), (1, 4), (4, 4)])
def test_cycled_takes_every_row_equally_often(n_rows, length):
    rows = cycled(n_rows, length, torch.Generator().manual_seed(0))
    counts = rows.bincount(minlength=n_rows)
    assert len(rows) == length
    assert counts.max() - counts.min() <= 1
    assert len(cycled(0, length, torch.Generator())) == 0


def test_split_rows_is_a_partition_of_the_asked_size():
    rows, valid_rows = split_rows(25, 0.1, seed=0)
    assert len(valid_rows) == math.ceil(2.5)
    assert sorted([*rows, *valid_rows]) == list(range(25))
    with pytest.raises(ValueError, match="leaves 1 of 2 samples to train on"):
        split_rows(2, 0.1, seed=0)


# training


def test_training_finds_the_least_squares_solution_and_repeats_bit_by_bit():
    X, y = regression_data(200)
    net = fitted_net((X, y), max_epochs=60, lr_schedule="cosine")
    A = np.column_stack([X, np.ones(len(X))])
    solution = np.linalg.lstsq(A, y.numpy(), rcond=None)[0]
    np.testing.assert_allclose(weights(net), solution, atol=5e-3)
    assert torch.equal(weights(net), weights(fitted_net((X, y), max_epochs=60, lr_schedule="cosine")))
    assert not torch.equal(weights(net), weights(fitted_net((X, y), seed=1, max_epochs=60, lr_schedule="cosine")))


def test_every_epoch_sees_every_row_once_in_another_order():
    data = regression_data(20)
    seen = torch.cat(fitted_net(data, max_epochs=2).module_.seen)[:, 0]
    first, second = seen[:20], seen[20:]
    assert sorted(first.tolist()) == sorted(second.tolist()) == sorted(data[0][:, 0].tolist())
    assert not torch.equal(first, second)


def test_recorded_loss_is_the_mean_over_rows_not_over_batches():
    data = regression_data(11)
    net = fitted_net(data, max_epochs=1, lr=1e-12)
    loss = ((net.module_.predict(data[0]) - data[1]) ** 2).mean().item()
    assert epochs_as_dicts(net) == [{"epoch": 1, "train_loss": pytest.approx(loss, rel=1e-5)}]


def test_batch_norm_trains_where_the_last_batch_would_be_one_row():
    assert torch.isfinite(weights(fitted_net(regression_data(17), batch_norm=True))).all()


def test_patience_stops_and_goes_back_to_the_best_epoch():
    data, valid_data = regression_data(30), regression_data(20, seed=1)
    valid_data = (valid_data[0], -valid_data[1])  # what is learned makes the validation loss rise in the end
    net = fitted_net(data, valid_data=valid_data, max_epochs=50, patience_to_stop=3)
    losses = [row["valid_loss"] for row in net.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3
    with torch.no_grad():
        assert net.module_(*valid_data).item() == pytest.approx(losses[best], rel=1e-5)
    assert len(fitted_net(data, valid_data=valid_data, max_epochs=5).history) == 5


def test_cosine_schedule_falls_from_lr_and_is_put_back():
    rates = []

    class Rates(Callback):
        def on_epoch_begin(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    net = fitted_net(regression_data(), max_epochs=4, lr=0.2, lr_schedule="cosine", callbacks=[Rates()])
    np.testing.assert_allclose(rates, [0.2 * math.cos(math.pi * epoch / 8) ** 2 for epoch in range(4)])
    assert net.optimizer_.param_groups[0]["lr"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match="lr_schedule must be one of 'constant', 'cosine'; got 'linear'"):
        fitted_net(regression_data(), lr_schedule="linear")


def test_before_epoch_hears_the_progress():
    progress = []
    net = fitted_net(regression_data(), max_epochs=4, before_epoch=lambda module, part: progress.append((module, part)))
    assert progress == [(net.module_, part) for part in (0, 0.25, 0.5, 0.75)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("at_batch", [1, 4, 13, 14])  # 7 batches an epoch
def test_interrupt_is_raised_again_and_leaves_the_last_completed_epoch(error, at_batch):
    data = regression_data()
    with seeded(0):
        net = make_net(torch_params(callbacks=[Recorder(error, at_batch=at_batch)]), Regression, {"n_features": 3})
        initial = weights(net).clone()
        with pytest.raises(error):
            train(net, data, max_epochs=3, seed=0)
    n_completed = (at_batch - 1) // 7
    expected = weights(fitted_net(data, max_epochs=n_completed)) if n_completed else initial
    assert torch.equal(weights(net), expected)
    assert [row["epoch"] for row in net.history] == list(range(1, n_completed + 1))


def test_callback_may_end_the_training():
    recorder = Recorder(KeyboardInterrupt, at_epoch_end=2)
    assert len(fitted_net(regression_data(), callbacks=[recorder], max_epochs=9).history) == 2
    stopping = EarlyStopping(monitor="train_loss", patience=1, threshold=1e9, threshold_mode="abs")
    assert len(fitted_net(regression_data(), callbacks=[stopping], max_epochs=9).history) < 9


def test_diverged_training_is_an_error():
    with pytest.raises(FloatingPointError, match=r"in epoch \d+, with lr=1e\+30: try a smaller lr"):
        fitted_net(regression_data(), lr=1e30, optimizer="sgd")


def test_net_params_reach_the_optimizer():
    def decay_of(net):
        return net.optimizer_.param_groups[0]["weight_decay"]

    assert decay_of(fitted_net(regression_data(), net_params={"optimizer__weight_decay": 0.25})) == 0.25


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "lbfgs", "rmsprop"])
def test_optimizers_lower_the_loss(optimizer):
    history = fitted_net(regression_data(), optimizer=optimizer, lr=0.05, max_epochs=10).history
    assert history[-1]["train_loss"] < 0.5 * history[0]["train_loss"]


def test_training_goes_on_after_a_pickle_with_or_without_the_optimizer():
    data = regression_data()
    net = fitted_net(data, max_epochs=2)
    copies = [pickle.loads(pickle.dumps(net)) for _ in range(2)]
    size = len(pickle.dumps(net))
    forget_optimizer(copies[1])
    assert len(pickle.dumps(copies[1])) < size
    for again in copies:
        assert torch.equal(weights(again), weights(net))
        train(again, data, max_epochs=20, seed=1)
        assert again.history[-1]["train_loss"] < net.history[-1]["train_loss"]


def test_net_trained_on_cuda_loads_without_it():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    net = fitted_net(regression_data())
    net.device = "cuda"  # as a pickle made where it was trained says
    with pytest.warns(UserWarning, match="device"):
        loaded = pickle.loads(pickle.dumps(net))
    assert str(loaded.device) == "cpu"
    X = np.ones((2, 3))
    np.testing.assert_array_equal(
        infer(loaded, loaded.module_.predict, X), loaded.module_.predict(as_tensor(X)).detach()
    )


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu_and_its_pickle_holds():
    data = regression_data()
    on_cpu, on_cuda = fitted_net(data, max_epochs=5), fitted_net(data, max_epochs=5, device="cuda")
    state = torch.cuda.get_rng_state()
    fitted_net(data, device="cuda")
    assert torch.equal(torch.cuda.get_rng_state(), state)
    loaded = pickle.loads(pickle.dumps(on_cuda))
    X = data[0].numpy()
    expected = infer(on_cpu, on_cpu.module_.predict, X)
    np.testing.assert_allclose(infer(on_cuda, on_cuda.module_.predict, X), expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(infer(loaded, loaded.module_.predict, X), infer(on_cuda, on_cuda.module_.predict, X))


def test_progress_bar_only_if_verbose(capsys):
    net = fitted_net(regression_data())
    assert capsys.readouterr() == ("", "")
    train(net, regression_data(), max_epochs=2, seed=0, verbose=True)
    assert "train_loss" in capsys.readouterr().err


# inference


def test_infer_is_the_function_on_all_rows_whatever_the_batches():
    net = fitted_net(regression_data(), batch_norm=True)
    X = np.random.default_rng(0).normal(size=(37, 3))
    results = []
    for batch_size in (2, 8, 100):
        net.batch_size = batch_size
        mean, rows = infer(net, lambda x, y: (net.module_.predict(x) + y, x), X, np.ones(37))
        np.testing.assert_array_equal(rows, X.astype(np.float32))
        results.append(mean)
    with torch.no_grad():
        expected = net.module_.eval().predict(as_tensor(X)) + 1
    for result in results:
        np.testing.assert_array_equal(result, results[0])  # to the last bit
        np.testing.assert_allclose(result, expected, rtol=1e-5)


def test_infer_does_not_train():
    net = fitted_net(regression_data(), batch_norm=True)
    before = {name: tensor.clone() for name, tensor in net.module_.state_dict().items()}
    net.module_.train()
    infer(net, net.module_.predict, np.ones((5, 3)))
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.module_.state_dict().items())
