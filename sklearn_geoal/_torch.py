"""Train and apply torch networks inside estimators: the one place that imports skorch."""

import inspect
import math
import numbers
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from sklearn.utils import check_scalar
from skorch import NeuralNet
from tqdm import tqdm

from ._validation import as_random_state, check_choice

# the parts of skorch's net that the functions below leave to the user
_NET_PARAM_PREFIXES = ("optimizer__", "callbacks__", "compile")

# steps of an epoch that draws its rows anew for each, however few there are: so the same number of epochs suits tables
# and large image sets
MIN_STEPS = 20


class TensorNet(NeuralNet):
    """A skorch net that trains on tensors in memory and whose module's ``forward`` returns the mean loss of a batch.

    From skorch it has the parameters of the optimiser, the callbacks, the history and pickles that move from one
    device to another. A method with a training step of its own overrides ``train_step_single``.
    """

    @property
    def _default_callbacks(self):
        return []

    def initialize_criterion(self):
        self.criterion_ = None
        return self

    def train_step_single(self, batch, **fit_params):
        loss = self.module_(*batch)
        loss.backward()
        return {"loss": loss.detach(), "y_pred": None}

    def validation_step(self, batch, **fit_params):
        with torch.no_grad():
            return {"loss": self.module_(*batch), "y_pred": None}

    def run_epoch(self, data, generator=None):
        """Mean loss of a row in one pass over ``data``, which trains if there is a ``generator`` of its order."""
        training = generator is not None
        self._set_training(training)
        step_fn = self.train_step if training else self.validation_step
        total = torch.zeros((), device=self.device)  # summed on the device: reading it would wait for every batch
        for batch in iterate_batches(data, self.batch_size, self.device, generator):
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch)
            total += len(batch[0]) * step["loss"]
            self.notify("on_batch_end", batch=batch, training=training, **step)
        return total.item() / len(data[0])


def check_torch_params(estimator):
    """Check the torch parameters that all deep estimators share.

    Raises
    ------
    TypeError, ValueError
        If one of them has the wrong type or lies outside its range.
    """
    check_scalar(estimator.max_epochs, "max_epochs", numbers.Integral, min_val=1)
    check_scalar(estimator.batch_size, "batch_size", numbers.Integral, min_val=2)
    check_scalar(estimator.lr, "lr", numbers.Real, min_val=0, include_boundaries="neither")
    check_scalar(estimator.patience, "patience", numbers.Integral, min_val=1)
    check_scalar(
        estimator.validation_fraction,
        "validation_fraction",
        numbers.Real,
        min_val=0,
        max_val=1,
        include_boundaries="neither",
    )
    check_scalar(estimator.callbacks or [], "callbacks", list)
    check_scalar(estimator.net_params or {}, "net_params", dict)
    unknown = sorted(name for name in estimator.net_params or () if not name.startswith(_NET_PARAM_PREFIXES))
    if unknown:
        raise ValueError(
            f"net_params takes names that begin with {', '.join(map(repr, _NET_PARAM_PREFIXES))}; got "
            f"{', '.join(map(repr, unknown))}. Everything else is set by the estimator and its own parameters."
        )


def check_goes_on(estimator, classes=None):
    """Check that a training can go on with the net of the last one.

    Parameters
    ----------
    estimator : estimator
        Has ``_model``, the parameters that its net was made with, and ``_model_params()``, what they are now.
    classes : ndarray, default=None
        Classes of the samples to go on with. None if the estimator is no classifier.

    Raises
    ------
    ValueError
        If a parameter of the network was changed, or there are new classes.
    """
    if estimator._model != estimator._model_params():
        raise ValueError(
            f"The network was made with {estimator._model}, but the parameters are now {estimator._model_params()}: "
            "a training that goes on, by warm_start or partial_fit, needs the network that it finds. Set them back, or "
            "fit without warm_start."
        )
    new = [] if classes is None else sorted(set(classes.tolist()).difference(estimator.classes_.tolist()))
    if new:
        raise ValueError(
            f"y has the new classes {new}, but the network was made for {estimator.classes_.tolist()}: "
            "warm_start goes on with the network it finds. Fit without warm_start to learn more classes."
        )


def resolve_device(device):
    """Name of the device to compute on: ``device`` itself if it is there, the fastest one for "auto".

    Raises
    ------
    ValueError
        If ``device`` is no device name or not present on this machine.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        wanted = torch.device(device)
    except (RuntimeError, TypeError):
        wanted = None
    if wanted is None or wanted.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f'device must be "auto", "cpu", "cuda", "cuda:<index>" or "mps"; got {device!r}.')
    n_present = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (wanted.index or 0) >= n_present[wanted.type]:
        raise ValueError(
            f"device={device!r} was asked for, but PyTorch finds {n_present[wanted.type]} such devices here: "
            'use device="cpu", or device="auto" to take what is there.'
        )
    return str(wanted)


def resolve_optimizer(optimizer):
    """Optimiser class: a class as it is, a name looked up in ``torch.optim`` in any case ("adam", "SGD").

    Raises
    ------
    ValueError
        If ``optimizer`` is neither.
    """
    base = torch.optim.Optimizer
    if inspect.isclass(optimizer) and issubclass(optimizer, base):
        return optimizer
    known = {name.lower(): cls for name, cls in vars(torch.optim).items() if inspect.isclass(cls) and cls is not base}
    if not isinstance(optimizer, str) or optimizer.lower() not in known:
        raise ValueError(
            f"optimizer must be a torch.optim.Optimizer class or one of {', '.join(map(repr, sorted(known)))}; "
            f"got {optimizer!r}."
        )
    return known[optimizer.lower()]


def is_skorch(estimator):
    """Whether an estimator is a skorch net, such as skorch.NeuralNetClassifier."""
    return isinstance(estimator, NeuralNet)


def draw_seed(random_state):
    """Seed drawn from ``random_state``; None draws fresh entropy and leaves numpy's global generator alone."""
    return int(as_random_state(random_state).randint(np.iinfo(np.int32).max))


@contextmanager
def seeded(seed, device="cpu"):
    """Seed torch on the CPU and on ``device`` inside the block and leave the caller's generators as they were."""
    device = torch.device(device)
    cuda = [torch.cuda.current_device() if device.index is None else device.index] if device.type == "cuda" else []
    mps_state = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=cuda):
        # torch.manual_seed would reseed every device, also those of the caller that are not put back
        torch.default_generator.manual_seed(seed)
        for index in cuda:
            torch.cuda.default_generators[index].manual_seed(seed)
        if mps_state is not None:
            torch.mps.manual_seed(seed)
        try:
            yield
        finally:
            if mps_state is not None:
                torch.mps.set_rng_state(mps_state)


def location_and_scale(X):
    """Mean and standard deviation of all values of X together; the scale of a constant X is 1."""
    peak = float(np.abs(X).max()) or 1.0  # divided out first: squares of huge or tiny values leave the float range
    Z = X / peak
    mean, std = Z.mean(dtype=np.float64), Z.std(dtype=np.float64)
    is_constant = std < np.finfo(X.dtype).eps  # it differs by rounding only
    return float(mean * peak), 1.0 if is_constant else float(std * peak)


def standardize(X, location, scale):
    """What a network is given for X, in single precision."""
    Z = X - location
    Z /= scale
    # what lies that far out is no datum, but the squares of the network's values must stay finite in float32
    return np.clip(Z, -1e12, 1e12, out=Z).astype(np.float32, copy=False)


def as_tensor(array, dtype=np.float32):
    """Tensor of an array, copied only where torch could not take its memory (dtype, strides, read-only)."""
    return torch.from_numpy(np.require(array, dtype, ("C", "W")))


def split_rows(n_samples, validation_fraction, seed, codes=None):
    """Indices of the rows to train on and to validate on.

    With the codes of their classes the rows are drawn class by class, unless there are too few of one.

    Raises
    ------
    ValueError
        If fewer than two rows are left to train on.
    """
    n_valid = math.ceil(validation_fraction * n_samples)
    if n_samples - n_valid < 2:
        raise ValueError(
            f"early_stopping with validation_fraction={validation_fraction} leaves {n_samples - n_valid} of "
            f"{n_samples} samples to train on, at least 2 are needed: give more samples or set early_stopping=False."
        )
    if codes is not None:
        counts = np.unique(codes, return_counts=True)[1]
        if counts.min() == 1 or len(counts) > min(n_valid, n_samples - n_valid):
            codes = None
    return train_test_split(np.arange(n_samples), test_size=n_valid, random_state=seed, stratify=codes)


def iterate_batches(data, batch_size, device="cpu", generator=None):
    """Yield whole batches of a tuple of tensors of equal length, in an order drawn from ``generator`` if there is one.

    A last batch of a single row joins the one before: batch normalisation cannot train on one row.
    """
    n_rows = len(data[0])
    order = None if generator is None else torch.randperm(n_rows, generator=generator).to(data[0].device)
    starts = list(range(0, n_rows, batch_size))
    if len(starts) > 1 and n_rows - starts[-1] == 1:
        starts.pop()
    for start, stop in zip(starts, [*starts[1:], n_rows], strict=True):
        rows = slice(start, stop) if order is None else order[start:stop]
        yield tuple(tensor[rows].to(device, non_blocking=True) for tensor in data)


def cycled(n_rows, length, generator):
    """Indices of rows, one random order after the other, cut to a length; none if there are no rows."""
    if not n_rows:
        return torch.empty(0, dtype=torch.int64)
    orders = [torch.randperm(n_rows, generator=generator) for _ in range(math.ceil(length / n_rows))]
    return torch.cat(orders)[:length]


def make_net(estimator, module, module_params, net_class=TensorNet):
    """Initialised net with the estimator's torch parameters.

    Call it inside :func:`seeded`: the initial weights are drawn here.

    Parameters
    ----------
    estimator : estimator
        Has the torch parameters that all deep estimators share.
    module : nn.Module class
        Its ``forward(*batch)`` returns the mean loss of a batch.
    module_params : dict
        Its arguments. They are pickled with the net.
    net_class : class, default=TensorNet
        Subclass with a training step of its own.
    """
    device = resolve_device(estimator.device)
    optimizer = resolve_optimizer(estimator.optimizer)
    net_params = dict(estimator.net_params or {})
    implementations = ("optimizer__fused", "optimizer__foreach", "optimizer__differentiable")
    # one fused kernel a step: the loop over the parameters costs a tenth of the time of a small net
    if "fused" in inspect.signature(optimizer).parameters and not any(name in net_params for name in implementations):
        net_params["optimizer__fused"] = True
    return net_class(
        module,
        criterion=None,
        optimizer=optimizer,
        lr=estimator.lr,
        batch_size=estimator.batch_size,
        callbacks=estimator.callbacks,
        verbose=0,
        device=device,
        **{f"module__{name}": value for name, value in module_params.items()},
        **net_params,
    ).initialize()


def train(
    net,
    data,
    valid_data=None,
    *,
    max_epochs,
    seed,
    patience=None,
    lr_schedule="constant",
    before_epoch=None,
    verbose=False,
):
    """Train a net and leave its module at the last epoch, or at the best one if ``patience`` is given.

    Whatever ends the training early, an interrupt, a loss that is not finite or an error, is raised again, with the
    module put back to the last such epoch that was completed.

    Parameters
    ----------
    net : TensorNet
        Initialised net.
    data, valid_data : tuple of tensors
        Rows to train and to validate on, of equal length within each tuple.
    max_epochs : int
        Number of passes over ``data``.
    seed : int
        Seed of the order of the rows. Other randomness is drawn from torch: call this function inside :func:`seeded`.
    patience : int, default=None
        Stop after so many epochs without a lower validation loss and go back to the best epoch.
    lr_schedule : {"constant", "cosine"}, default="constant"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    before_epoch : callable(module, progress), default=None
        Called before each epoch, with the part of the training that is done, in [0, 1).
    verbose : bool, default=False
        Show a progress bar over the epochs.

    Raises
    ------
    FloatingPointError
        If the loss of an epoch is not finite.
    """
    check_choice("lr_schedule", lr_schedule, ("constant", "cosine"))
    data = _place(data, net.device)
    valid_data = None if valid_data is None else _place(valid_data, net.device)
    generator = torch.Generator().manual_seed(seed)
    if net.optimizer_ is None:
        net._initialize_optimizer()
    net.notify("on_train_begin", X=data, y=None)
    kept, n_completed = _copy_state(net.module_), len(net.history)
    best_loss, n_worse = math.inf, 0
    try:
        with tqdm(range(max_epochs), desc="epochs", disable=not verbose) as progress_bar:
            for epoch in progress_bar:
                progress = epoch / max_epochs
                if lr_schedule == "cosine":
                    _scale_lr(net.optimizer_, (1 + math.cos(math.pi * progress)) / 2)
                if before_epoch is not None:
                    before_epoch(net.module_, progress)
                losses, asked_to_stop = _run_epoch(net, data, valid_data, generator)
                if verbose:
                    progress_bar.set_postfix(losses)
                n_completed = len(net.history)
                if patience is None or losses["valid_loss"] < best_loss:
                    kept, best_loss, n_worse = _copy_state(net.module_), losses.get("valid_loss"), 0
                else:
                    n_worse += 1
                if asked_to_stop or n_worse == patience:
                    break
    except BaseException:
        net.module_.load_state_dict(kept)
        del net.history[n_completed:]
        raise
    finally:
        if lr_schedule == "cosine":
            _scale_lr(net.optimizer_, 1.0)
    net.module_.load_state_dict(kept)
    net.notify("on_train_end", X=data, y=None)


def fit_net(
    estimator,
    module,
    module_params,
    data,
    valid_data=None,
    *,
    seed,
    keep,
    take_over,
    net_class=TensorNet,
    choose=None,
    **options,
):
    """Train a new net, or the estimator's own ``net_`` if it has one, and let the estimator take it over.

    Parameters
    ----------
    estimator : estimator
        Has the torch parameters that all deep estimators share.
    module, module_params, net_class
        What :func:`make_net` makes a new net of. ``module_params`` is called for the arguments.
    data, valid_data : tuple of tensors
        What :func:`train` is given.
    seed : int
        Seed of everything that is drawn.
    keep : bool
        Whether another training may go on with the net: its optimiser stays, and an interrupted training leaves the
        estimator with the net of the last completed epoch.
    take_over : callable(net)
        Makes the trained net the fitted one.
    choose : callable(make), default=None
        Returns the net to train where none is there yet, given a function that makes new ones. None trains the first.
    **options
        Further arguments of :func:`train`.
    """
    net = vars(estimator).get("net_")
    if net is not None:
        seed += len(net.history)  # a training that goes on must not draw the same numbers again
    with seeded(seed, resolve_device(estimator.device) if net is None else net.device):
        if net is None:
            make = partial(make_net, estimator, module, module_params(), net_class)
            net = make() if choose is None else choose(make)
        try:
            train(net, data, valid_data, seed=seed, verbose=estimator.verbose, **options)
        except (KeyboardInterrupt, FloatingPointError):
            if keep and net.history:
                take_over(net)
            raise
        take_over(net)
    if not keep:
        forget_optimizer(net)


def infer(net, function, *arrays):
    """Apply a function of the net's module to arrays, batch by batch, in evaluation mode and without gradients.

    Parameters
    ----------
    net : TensorNet
        Trained net.
    function : callable
        Takes a batch of each array, on the net's device, and returns a tensor or a tuple of tensors of as many rows.
    *arrays : ndarray
        Arrays of equal length.

    Returns
    -------
    result : ndarray or tuple of ndarray
        The results of all batches, in the order of the rows.
    """
    net._set_training(False)
    results = []
    with torch.inference_mode():
        for start in range(0, len(arrays[0]), net.batch_size):
            n_rows = min(net.batch_size, len(arrays[0]) - start)
            batch = (_padded(array[start : start + n_rows]).to(net.device) for array in arrays)
            result = function(*batch)
            results.append([part[:n_rows].cpu() for part in (result if isinstance(result, tuple) else (result,))])
    joined = tuple(torch.cat(parts).numpy() for parts in zip(*results, strict=True))
    return joined if len(joined) > 1 else joined[0]


def penultimate(net, X, layer=None):
    """Hidden representation of rows: what the last linear layer of a trained net is given, or the layer so named.

    Parameters
    ----------
    net : skorch.NeuralNet
        Trained net. Its module is called as the net itself calls it to predict.
    X : ndarray of shape (n_samples, ...)
        Rows as the net takes them.
    layer : str, default=None
        Name of a layer of the module, as ``named_modules`` lists it. None: the linear layer that is called last.

    Returns
    -------
    Z : ndarray of shape (n_samples, n_hidden)

    Raises
    ------
    ValueError
        If there is no such layer, or it is never called.
    """
    layers = dict(net.module_.named_modules())
    linear = [name for name, module in layers.items() if isinstance(module, torch.nn.Linear)]
    if layer is not None and layer not in layers:
        raise ValueError(
            f"layer={layer!r} is not in {type(net.module_).__name__}, whose layers are "
            f"{', '.join(repr(name) for name in layers if name)}."
        )
    if layer is None and not linear:
        raise ValueError(
            f"{type(net.module_).__name__} has no linear layer whose input could serve as its representation: name "
            f"another layer; there are {', '.join(repr(name) for name in layers if name)}."
        )
    given = []
    hooks = [
        layers[name].register_forward_pre_hook(lambda module, args: given.append(args[0].detach()))
        for name in (linear if layer is None else [layer])
    ]

    def last_given():
        if not given:
            raise ValueError(
                f"{type(net.module_).__name__} predicts without a call of {layer or ' or '.join(linear)}: name another "
                "layer; there are "
                f"{', '.join(repr(name) for name in layers if name)}."
            )
        last = given[-1].flatten(1)
        given.clear()
        return last

    try:
        if isinstance(net, TensorNet):
            return infer(net, lambda x: (net.module_.logits(x), last_given())[1], X)
        return torch.cat([last_given().cpu() for _ in net.forward_iter(X)]).numpy()
    finally:
        for hook in hooks:
            hook.remove()


def forget_optimizer(net):
    """Drop the state of the optimiser, two thirds of a pickle. Further training starts with a new one."""
    net.optimizer_ = None


def epochs_as_dicts(net):
    """History of a net as plain dicts, one an epoch."""
    return [{name: value for name, value in row.items() if name != "batches"} for row in net.history]


def _run_epoch(net, data, valid_data, generator):
    """One epoch with its callbacks: the losses, and whether a callback asked for the end of the training."""
    net.notify("on_epoch_begin", dataset_train=data, dataset_valid=valid_data)
    losses = {"train_loss": net.run_epoch(data, generator)}
    if not math.isfinite(losses["train_loss"]):
        raise FloatingPointError(
            f"The training loss is {losses['train_loss']} in epoch {len(net.history)}, with lr={net.lr}: "
            "try a smaller lr, or bring the features to similar scales, for instance with StandardScaler."
        )
    if valid_data is not None:
        losses["valid_loss"] = net.run_epoch(valid_data)
    for name, loss in losses.items():
        net.history.record(name, loss)
    try:
        net.notify("on_epoch_end", dataset_train=data, dataset_valid=valid_data)
    except KeyboardInterrupt:  # skorch's way for a callback such as EarlyStopping to end the training
        return losses, True
    finally:
        net.history[-1]["batches"] = []  # they would fill the pickle
    return losses, False


def _place(data, device):
    """Tensors moved to the device once, unless they take half of its free memory: then batches move one by one."""
    if torch.device(device).type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if sum(tensor.nbytes for tensor in data) > free / 2:
            return data
    return tuple(tensor.to(device) for tensor in data)


def _padded(rows, multiple=16):
    """Tensor of the rows and some zeros: matrix products of few rows round otherwise than those of many."""
    if math.prod(rows.shape[2:]) > 1:  # images, of which a few are many pixels
        return as_tensor(rows)
    padded = np.zeros((len(rows) + -len(rows) % multiple, *rows.shape[1:]), dtype=np.float32)
    padded[: len(rows)] = rows
    return torch.from_numpy(padded)


def _copy_state(module):
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def _scale_lr(optimizer, factor):
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])
