"""The torch core: devices, generators, batches, the training loop, checkpoints, inference."""

import errno
import math
import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping
from torch import nn

from sklearn_geoal._torch import inference
from sklearn_geoal._torch.batches import (
    MAX_PASSES,
    MIN_PIXELS,
    MIN_STEPS,
    VALUES_A_STEP,
    Rows,
    cycled,
    cycled_batches,
    n_rows_of_step,
    n_steps_of_epoch,
    passes,
)
from sklearn_geoal._torch.checkpoints import Checkpoint, digest, is_storable, read_tree, write_tree
from sklearn_geoal._torch.device import drawing_from, generator_on, resolve_device
from sklearn_geoal._torch.fitting import as_rows, split_rows
from sklearn_geoal._torch.inference import as_tensor, infer
from sklearn_geoal._torch.nets import check_torch_params, make_net, make_net_to_go_on, resolve_optimizer
from sklearn_geoal._torch.training import TensorNet, epochs_as_dicts, train
from sklearn_geoal._validation import draw_seed


class Regression(nn.Module):
    """Linear least squares; ``seen`` keeps the rows of every batch."""

    def __init__(self, n_features, batch_norm=False):
        super().__init__()
        self.layers = nn.Sequential(nn.BatchNorm1d(n_features) if batch_norm else nn.Identity())
        self.layers.append(nn.Linear(n_features, 1))
        self.seen = []

    def losses(self, x, y, generator=None):
        self.seen.append(x.detach().clone())
        return {"train_loss": self(x, y)}

    def forward(self, x, y, generator=None):
        return ((self.predict(x) - y) ** 2).mean()

    def predict(self, x):
        return self.layers(x).squeeze(1)


class Recorder(Callback):
    """Counts calls and raises ``error`` at a given batch or at the end of a given epoch."""

    def __init__(self, error=None, at_batch=None, at_epoch_end=None):
        self.error, self.at_batch, self.at_epoch_end = error, at_batch, at_epoch_end
        self.n_batches = self.n_epochs = 0  # of the copy that the net takes

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
        "lr_schedule": "constant",
        "optimizer": "adam",
        "device": "cpu",
        "early_stopping": False,
        "validation_fraction": 0.1,
        "patience": 2,
        "callbacks": None,
        "net_params": None,
        "checkpoint": None,
        "warm_start": False,
    }
    return SimpleNamespace(**{**params, **changes})


def regression_data(n_samples=50, n_features=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, n_features))
    return as_tensor(X), as_tensor(X @ np.arange(1, n_features + 1) + 0.1 * rng.normal(size=n_samples))


def all_rows(data):
    return Rows(data, torch.arange(len(data[0])), torch.empty(0, dtype=torch.int64))


def new_net(seed=0, n_features=3, batch_norm=False, **changes):
    params = {"n_features": n_features, "batch_norm": batch_norm}
    return make_net(torch_params(**changes), TensorNet, Regression, params, generator_on("cpu", seed))


def fitted_net(data, seed=0, valid_data=None, batch_norm=False, max_epochs=3, **changes):
    options = {
        name: changes.pop(name) for name in ("patience_to_stop", "before_epoch", "lr_schedule") if name in changes
    }
    net = new_net(seed, data[0].shape[1], batch_norm, **changes)
    train(
        net,
        all_rows(data),
        None if valid_data is None else all_rows(valid_data),
        max_epochs=max_epochs,
        seed=seed,
        noise=generator_on(net.device, seed),
        patience=options.get("patience_to_stop"),
        lr_schedule=options.get("lr_schedule", "constant"),
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
        ({"lr_schedule": "linear"}, "lr_schedule must be one of 'constant', 'cosine'; got 'linear'"),
        ({"early_stopping": "yes"}, "early_stopping must be an instance of bool"),
        ({"warm_start": 1}, "warm_start must be an instance of bool"),
        ({"checkpoint": 3}, "checkpoint must be an instance of"),
        ({"checkpoint": __file__}, "checkpoint must be a folder; got .*, which is a file"),
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


def draws_of_all_kinds():
    """What networks and functions of users may draw, none of which is given a generator."""
    x = torch.randn(4, 8)
    net = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5), nn.RReLU(), nn.GRU(8, 8, 2, dropout=0.5))
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    return [
        *(tensor.detach() for tensor in (*net.parameters(), net(x[None])[0], layer(x[None]))),
        *(torch.rand(3), torch.randn(2, 3), torch.randint(5, (3,)), torch.randint(2, 5, (3,)), torch.randperm(5)),
        *(torch.rand_like(x), torch.randn_like(x), torch.randint_like(x, 5), torch.randint_like(x, 2, 5)),
        *(torch.bernoulli(torch.full((5,), 0.5)), torch.multinomial(torch.ones(5), 2), torch.poisson(torch.ones(4))),
        *(torch.normal(0.0, 1.0, (3,)), torch.empty(4).exponential_(), nn.init.orthogonal_(torch.empty(4, 4))),
        torch.distributions.Gamma(torch.tensor(1.5), 1.0).sample((2, 5)),
    ]


def test_code_without_generators_draws_what_a_seed_of_the_process_gives_and_leaves_it_alone():
    state = torch.get_rng_state()
    torch.manual_seed(5)
    expected = draws_of_all_kinds()
    torch.set_rng_state(state)
    with drawing_from(generator_on("cpu", 5)):
        drawn = draws_of_all_kinds()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(map(torch.equal, drawn, expected))


def test_given_generators_are_left_in_their_place():
    with drawing_from(generator_on("cpu", 1)):
        drawn = torch.rand(3, generator=generator_on("cpu", 2))
    assert torch.equal(drawn, torch.rand(3, generator=generator_on("cpu", 2)))


def test_threads_do_not_hear_of_each_others_draws():
    def draw(seed):
        with drawing_from(generator_on("cpu", seed)):
            return torch.cat([torch.rand(50) for _ in range(20)])

    with ThreadPoolExecutor(4) as pool:
        threaded = list(pool.map(draw, range(8)))
    assert all(torch.equal(a, draw(seed)) for seed, a in enumerate(threaded))


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
    X, y = torch.arange(n_rows * 4.0).view(2 * n_rows, 2), torch.arange(2 * n_rows)
    labeled = torch.arange(n_rows) * 2
    order = torch.Generator().manual_seed(0) if shuffle else None
    batches = list(passes(Rows((X, y), labeled, labeled + 1), 8, order))
    rows = torch.cat([batch_y for _, batch_y in batches])
    assert sorted(rows.tolist()) == labeled.tolist()
    assert torch.equal(torch.cat([batch_X for batch_X, _ in batches]), X[rows])
    assert shuffle or torch.equal(rows, labeled)
    sizes = [len(batch_y) for _, batch_y in batches]
    assert max(sizes) <= 9
    assert n_rows == 1 or min(sizes) > 1


def test_cycled_batches_take_rows_of_every_kind():
    X, y = torch.randn(10, 2), torch.arange(10)
    kinds = torch.tensor([1, 4, 7]), torch.tensor([0, 2])
    batches = list(cycled_batches((X, y), kinds, (2, 3), 6, torch.Generator().manual_seed(0)))
    assert len(batches) == 6
    for indices, n, place in ((kinds[0], 2, 0), (kinds[1], 3, 2)):
        drawn = torch.stack([batch[place + 1] for batch in batches])
        assert drawn.shape == (6, n)
        counts = drawn.flatten().bincount(minlength=10)[indices]
        assert counts.sum() == 6 * n
        assert counts.max() - counts.min() <= 1
        assert all(torch.equal(batch[place], X[batch[place + 1]]) for batch in batches)
    none = next(cycled_batches((X, y), (kinds[0], torch.empty(0, dtype=torch.int64)), (2, 2), 1, torch.Generator()))
    assert none[2].shape == (0, 2)


@pytest.mark.parametrize("n_rows", [1, 2, 15, 16, 17, 160, 161, 5000])
def test_steps_of_an_epoch_are_a_pass_or_a_few_more(n_rows):
    n_steps = n_steps_of_epoch(n_rows, 64)
    assert n_steps >= n_rows / 64
    assert n_steps <= max(math.ceil(n_rows / 64), MIN_STEPS)
    assert n_steps >= min(MIN_STEPS, n_rows / VALUES_A_STEP, MAX_PASSES)
    assert n_steps_of_epoch(n_rows, n_rows) <= MAX_PASSES
    assert n_steps_of_epoch(n_rows, 64, n_pixels=400) >= MIN_STEPS


def test_steps_of_small_images_have_many_of_them():
    assert n_rows_of_step(8) == n_rows_of_step(8, 1000) == 8
    assert n_rows_of_step(8, 1) == MIN_PIXELS
    assert n_rows_of_step(8, 9) * 9 >= MIN_PIXELS


def test_rows_are_labelled_unlabelled_or_void():
    Z = np.zeros((5, 3), dtype=np.float32)
    rows, valid = as_rows(Z, None, 0, seed=0)
    assert (rows.labeled.tolist(), rows.unlabeled.tolist(), valid, rows.n_pixels) == ([0, 1, 2, 3, 4], [], None, None)
    rows, _ = as_rows(Z, np.array([0, -1, 1, -2, -1]), 0, seed=0)
    assert (rows.labeled.tolist(), rows.unlabeled.tolist()) == ([0, 2], [1, 4])
    masks = np.full((5, 2, 2), -1)
    masks[0], masks[1, 0, 0], masks[2] = 0, 1, -2
    rows, _ = as_rows(Z, masks, 0, seed=0)
    assert (rows.labeled.tolist(), rows.unlabeled.tolist(), rows.n_pixels) == ([0, 1], [1, 3, 4], 4)
    rows, valid = as_rows(Z, None, 0.4, seed=0)
    assert sorted([*rows.labeled.tolist(), *valid.labeled.tolist()]) == [0, 1, 2, 3, 4]
    assert len(valid.labeled) == 2


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


def test_before_epoch_hears_the_progress():
    progress = []
    net = fitted_net(regression_data(), max_epochs=4, before_epoch=lambda module, part: progress.append((module, part)))
    assert progress == [(net.module_, part) for part in (0, 0.25, 0.5, 0.75)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("at_batch", [1, 4, 13, 14])  # 7 batches an epoch
def test_interrupt_is_raised_again_and_leaves_the_last_completed_epoch(error, at_batch):
    data = regression_data()
    net = new_net(callbacks=[Recorder(error, at_batch=at_batch)])
    initial, noise = weights(net).clone(), generator_on("cpu", 0)
    noise_at_first = noise.get_state()
    with pytest.raises(error):
        train(net, all_rows(data), max_epochs=3, seed=0, noise=noise)
    assert torch.equal(noise.get_state(), noise_at_first)
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
    copies[1].forget_training()
    assert len(pickle.dumps(copies[1])) < size
    for again in copies:
        assert torch.equal(weights(again), weights(net))
        train(again, all_rows(data), max_epochs=20, seed=1, noise=generator_on("cpu", 1))
        assert again.history[-1]["train_loss"] < net.history[-1]["train_loss"]


def test_net_to_go_on_is_a_copy_with_the_parameters_of_today():
    data = regression_data()
    net = fitted_net(data, max_epochs=2, optimizer="adam", net_params={"optimizer__weight_decay": 0.5})
    before = weights(net).clone()
    twin = make_net_to_go_on(torch_params(lr=0.01, batch_size=4), net)
    assert torch.equal(weights(twin), before)
    assert twin.history == net.history
    assert (twin.lr, twin.batch_size, twin.optimizer_.param_groups[0]["lr"]) == (0.01, 4, 0.01)
    assert twin.optimizer_.param_groups[0]["weight_decay"] == 0
    for old, new in zip(net.optimizer_.state.values(), twin.optimizer_.state.values(), strict=True):
        assert torch.equal(old["exp_avg"], new["exp_avg"])
    assert not make_net_to_go_on(torch_params(optimizer="sgd"), net).optimizer_.state
    train(twin, all_rows(data), max_epochs=2, seed=1, noise=generator_on("cpu", 1))
    assert torch.equal(weights(net), before)
    assert len(net.history) == 2
    assert isinstance(twin.module, type)  # an instance would be pickled a second time


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
    train(net, all_rows(regression_data()), max_epochs=2, seed=0, noise=generator_on("cpu", 0), verbose=True)
    assert "train_loss" in capsys.readouterr().err


# inference


def test_infer_is_the_function_on_all_rows_whatever_the_batches(monkeypatch):
    net = fitted_net(regression_data(), batch_norm=True)
    X = np.random.default_rng(0).normal(size=(37, 3))
    results = []
    for most in (16, 32, 100):
        monkeypatch.setattr(inference, "_MAX_ROWS", most)
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


def test_batches_of_inference_are_bounded_by_values(monkeypatch):
    sizes = []
    net = fitted_net(regression_data())
    for shape in ((3000, 2), (100, 3, 200, 200)):
        X = np.zeros(shape, dtype=np.float32)
        infer(net, lambda x: (sizes.append(len(x)), x.flatten(1).sum(1))[1], X)
    assert max(sizes) <= inference._MAX_ROWS
    assert 16 in sizes  # of the images


# checkpoints


TREE = {
    "format": 1,
    "tensors": [
        torch.arange(6.0).view(2, 3),
        torch.tensor(7),
        torch.zeros(0, 4),
        torch.tensor([1.5], dtype=torch.bfloat16),
    ],
    "numbers": {"inf": math.inf, "pi": math.pi, "n": 2**60, "text": "é", "none": None, "yes": True},
    "state": {0: {"step": torch.tensor(3.0)}, 1: {}},
    "pair": (1, [2, (3,)]),
    "numpy": [np.float64(0.1), np.int32(4), np.arange(3)],
}


def test_trees_are_read_as_they_were_written(tmp_path):
    write_tree(tmp_path / "tree.npz", TREE)
    tree = read_tree(tmp_path / "tree.npz")
    for a, b in zip(tree["tensors"], TREE["tensors"], strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert torch.equal(a, b)
    assert tree["numbers"] == TREE["numbers"]
    assert tree["state"].keys() == TREE["state"].keys()
    assert tree["pair"] == TREE["pair"]
    assert tree["numpy"][:2] == [0.1, 4]
    assert torch.equal(tree["numpy"][2], torch.arange(3))
    assert not list(tmp_path.glob("*.tmp"))


def test_what_is_no_plain_value_is_refused():
    assert is_storable(TREE)
    assert not is_storable({"a": [object()]})
    assert not is_storable(nn.Linear(2, 2))


def test_failed_write_leaves_the_file_that_was_there(tmp_path, monkeypatch):
    path = tmp_path / "tree.npz"
    write_tree(path, TREE)
    before = path.read_bytes()

    def full(file, **arrays):
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match=r"could not be written \(No space left on device\).* goes on from it"):
        write_tree(path, TREE)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_two_files_take_turns(tmp_path):
    stage = Checkpoint(tmp_path, {"lr": "1"}, seed=3).stage("training")
    assert stage.load() is None
    for n in range(5):
        before = {path: path.read_bytes() for path in stage.paths if path.is_file()}
        stage.save({"n": n})
        changed = [path for path, content in before.items() if path.read_bytes() != content]
        assert len(changed) == (n > 1)
        again = Checkpoint(tmp_path, {"lr": "1"}, seed=4)
        assert again.stage("training").load() == {"n": n}
        assert again.stage("start0").load() is None
        assert again.seed == 3


def test_states_of_another_training_are_an_error_even_of_an_early_stage(tmp_path):
    checkpoint = Checkpoint(tmp_path, {"lr": "1"}, seed=3)
    Checkpoint(tmp_path, {"lr": "2"}, seed=3)  # nothing was written yet
    checkpoint.stage("start0").save({"n": 0, "best": None, "module": {}})
    with pytest.raises(ValueError, match=r"of another training \(lr was 1, is 2\)"):
        Checkpoint(tmp_path, {"lr": "2"}, seed=3)


def test_new_training_leaves_the_end_of_the_one_before_until_it_has_a_state_of_its_own(tmp_path):
    module = nn.Linear(2, 1)
    old = Checkpoint(tmp_path, {"start": "initial weights"}, seed=3)
    state = {"best": None, "module": dict(module.state_dict())}
    for _ in range(3):
        old.stage("training").save(state)
    new = Checkpoint(tmp_path, {"start": "weights"}, seed=5, weights=module)
    assert new.stage("training").load() is None
    assert Checkpoint(tmp_path, {"start": "initial weights"}, seed=5).stage("training").load() is not None
    new.stage("training").save(state)
    assert Checkpoint(tmp_path, {"start": "weights"}, seed=6, weights=module).seed == 5
    with pytest.raises(ValueError, match="start was weights, is initial weights"):
        Checkpoint(tmp_path, {"start": "initial weights"}, seed=5)


@pytest.mark.parametrize(
    "a, b",
    [
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(4), np.zeros(4, dtype=np.float32)),
        (np.arange(4), np.arange(4)[::-1]),
        (np.zeros((2, 2, 2)), np.array([[[0, 0], [0, 0]], [[0, 0], [0, 1.0]]])),
        (np.array(["a", "b"]), np.array(["a", "c"])),
        (np.array(["a", 1], dtype=object), np.array(["a", 2], dtype=object)),
    ],
)
def test_digest_tells_arrays_apart(a, b):
    assert digest(a) == digest(a.copy()) == digest(np.asfortranarray(a)) != digest(b)
