"""The one training loop: a net yields its batches, its module returns the named losses of each."""

import math
from contextlib import nullcontext
from functools import partial

import torch
from skorch import NeuralNet
from skorch.history import History
from tqdm import tqdm

from .batches import passes
from .checkpoints import is_storable
from .device import drawing_from


class TensorNet(NeuralNet):
    """A skorch net that trains on tensors in memory.

    From skorch it has the parameters of the optimiser, the callbacks, the history and pickles that move from one
    device to another. Its module has ``losses(*batch, generator)``, a dict of means over the batch of which
    "train_loss" is minimised, and ``forward(*batch, generator)``, the mean that a validation measures. What a method
    draws its steps from, and does after them, is in a subclass.
    """

    @property
    def _default_callbacks(self):
        return []

    def initialize_criterion(self):
        self.criterion_ = (
            torch.nn.Identity()
        )  # the module knows its losses; callbacks save the state of a criterion too
        return self

    def batches(self, rows, order):
        """Batches of one epoch: a pass over the rows in an order drawn from ``order``."""
        return passes(rows, self.batch_size, order)

    def gradients(self, batch, generator):
        """Losses of a batch, after their gradients were added to those of the parameters."""
        losses = self.module_.losses(*batch, generator=generator)
        losses["train_loss"].backward()
        return losses

    def after_step(self):
        """What a method does after each step of the optimiser."""

    def after_epoch(self, rows, order):
        """What a method does after the steps of an epoch."""

    def forget_training(self):
        """Drop what only further training needs, such as the state of the optimiser, two thirds of a pickle."""
        self.optimizer_ = None

    def train_step_single(self, batch, generator, drawing):
        with drawing():
            losses = {name: loss.detach() for name, loss in self.gradients(batch, generator).items()}
        return {"loss": losses["train_loss"], "losses": losses, "y_pred": None}

    def validation_step(self, batch, generator):
        with torch.no_grad():
            loss = self.module_(*batch, generator=generator)
        return {"loss": loss, "losses": {"valid_loss": loss}, "y_pred": None}

    def run_epoch(self, rows, noise, order=None):
        """Means over an epoch of the named losses, each batch counted by its rows.

        Parameters
        ----------
        rows : Rows
        noise : torch.Generator
            What is drawn in the steps is drawn from it.
        order : torch.Generator, default=None
            The order of the rows is drawn from it. None is a validation, a pass over the rows with a target.
        """
        training = order is not None
        self._set_training(training)
        step_fn = partial(self.train_step, drawing=self._drawing(noise)) if training else self.validation_step
        totals, n_rows = 0, 0
        for batch in self.batches(rows, order) if training else passes(rows, self.batch_size):
            batch = tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, generator=noise)
            if training:
                self.after_step()
            # summed on the device: reading it would wait for every batch
            totals += len(batch[0]) * torch.stack(list(step["losses"].values()))
            n_rows += len(batch[0])
            self.notify("on_batch_end", batch=batch, training=training, **step)
        if training:
            self.after_epoch(rows, order)
        return {name: total / n_rows for name, total in zip(step["losses"], totals.tolist(), strict=True)}

    def _drawing(self, generator):
        """What makes the context of a step: the user's own layers know no generators, in it they draw from ours."""
        packages = {type(module).__module__.partition(".")[0] for module in self.module_.modules()}
        return partial(drawing_from, generator) if packages - {"torch", "sklearn_geoal"} else nullcontext


# --- the training -----------------------------------------------------------------------------------------------------


def train(
    net,
    rows,
    valid=None,
    *,
    max_epochs,
    seed,
    noise,
    patience=None,
    lr_schedule="constant",
    before_epoch=None,
    stage=None,
    verbose=False,
):
    """Train a net and leave its module at the last epoch, or at the best one if ``patience`` is given.

    Whatever ends the training early, an interrupt, a loss that is not finite or an error, is raised again, with the
    module put back to the last such epoch that was completed.

    Parameters
    ----------
    net : TensorNet
        Initialised net.
    rows, valid : Rows
        To train and to validate on.
    max_epochs : int
        Number of epochs.
    seed : int
        Seed of the order of the rows.
    noise : torch.Generator
        On the device; everything else is drawn from it.
    patience : int, default=None
        Stop after so many epochs without a lower validation loss and go back to the best epoch.
    lr_schedule : {"constant", "cosine"}, default="constant"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    before_epoch : callable(module, progress), default=None
        Called before each epoch, with the part of the training that is done, in [0, 1).
    stage : Stage, default=None
        Where the state is written after each epoch. What is there already is not trained again.
    verbose : bool, default=False
        Show a progress bar over the epochs.

    Raises
    ------
    FloatingPointError
        If the loss of an epoch is not finite.
    OSError
        If the state of an epoch cannot be written.
    """
    rows, valid = rows.on(net.device), None if valid is None else valid.on(net.device)
    if net.optimizer_ is None:
        net.initialize_optimizer()
    net.notify("on_train_begin", X=rows.tensors, y=None)
    progress = Progress(net, torch.Generator().manual_seed(seed), noise)
    if stage is not None:
        progress.resume(stage.load())
    try:
        epochs = range(progress.n_epochs, 0 if progress.is_over else max_epochs)
        with tqdm(epochs, desc="epochs", initial=epochs.start, total=max_epochs, disable=not verbose) as bar:
            for epoch in bar:
                if lr_schedule == "cosine":
                    _scale_lr(net.optimizer_, (1 + math.cos(math.pi * epoch / max_epochs)) / 2)
                if before_epoch is not None:
                    before_epoch(net.module_, epoch / max_epochs)
                losses, asked_to_stop = _run_epoch(net, rows, valid, progress)
                bar.set_postfix(losses)
                progress.advance(losses.get("valid_loss"), patience)
                asked_to_stop = asked_to_stop or progress.n_worse == patience
                progress.is_over = asked_to_stop or epoch + 1 == max_epochs
                if stage is not None:
                    stage.save(progress.state())
                if asked_to_stop:
                    break
    except BaseException:
        progress.go_back()
        progress.forget_draws()
        raise
    finally:
        if lr_schedule == "cosine":
            _scale_lr(net.optimizer_, 1.0)
    progress.go_back()
    net.notify("on_train_end", X=rows.tensors, y=None)


def epochs_as_dicts(net):
    """History of a net as plain dicts, one an epoch."""
    left_out = ("batches", "train_loss_best", "valid_loss_best")
    return [{name: value for name, value in row.items() if name not in left_out} for row in net.history]


class Progress:
    """How far a training has come: the state to go back to, and all of it for a checkpoint."""

    def __init__(self, net, order, noise):
        self.net, self.order, self.noise = net, order, noise
        self.n_epochs, self.is_over = 0, False
        self.best_loss, self.n_worse = math.inf, 0
        self.kept, self.kept_is_last = _copy(net.module_.state_dict()), True
        self.n_rows_of_history = len(net.history)
        self.drawn = order.get_state(), noise.get_state()

    def advance(self, valid_loss, patience):
        """Note that an epoch was completed."""
        self.n_epochs += 1
        self.n_rows_of_history = len(self.net.history)
        self.drawn = self.order.get_state(), self.noise.get_state()
        self.kept_is_last = patience is None or valid_loss < self.best_loss
        if self.kept_is_last:
            self.kept, self.best_loss, self.n_worse = _copy(self.net.module_.state_dict()), valid_loss, 0
        else:
            self.n_worse += 1

    def go_back(self):
        """Put the module to the last epoch that was completed, or the best one, and forget what came after."""
        self.net.module_.load_state_dict(self.kept)
        del self.net.history[self.n_rows_of_history :]

    def forget_draws(self):
        """Put the generators to the last epoch that was completed."""
        for generator, state in zip((self.order, self.noise), self.drawn, strict=True):
            generator.set_state(state)

    def state(self):
        """All that the rest of the training depends on."""
        return {
            "n_epochs": self.n_epochs,
            "is_over": self.is_over,
            "best_loss": self.best_loss,
            "n_worse": self.n_worse,
            "module": dict(self.net.module_.state_dict()),
            "best": None if self.kept_is_last else self.kept,
            "optimizer": self.net.optimizer_.state_dict(),
            "drawn": self.drawn,
            "history": epochs_as_dicts(self.net),
            "callbacks": [_state_of(callback) for _, callback in self.net.callbacks_],
        }

    def resume(self, state):
        """Go to a state that was read from a checkpoint, if there is one."""
        if state is None:
            return
        self.n_epochs, self.is_over = state["n_epochs"], state["is_over"]
        self.best_loss, self.n_worse = state["best_loss"], state["n_worse"]
        self.net.module_.load_state_dict(state["module"])
        self.kept_is_last = state["best"] is None
        self.kept = _copy(self.net.module_.state_dict()) if self.kept_is_last else state["best"]
        self.net.optimizer_.load_state_dict(state["optimizer"])
        self.drawn = state["drawn"]
        self.forget_draws()
        self.net.history = History({**row, "batches": [{}]} for row in state["history"])
        self.n_rows_of_history = len(self.net.history)
        for (_, callback), values in zip(self.net.callbacks_, state["callbacks"], strict=True):
            _restore(callback, values)


def _run_epoch(net, rows, valid, progress):
    """One epoch with its callbacks: the losses, and whether a callback asked for the end of the training."""
    net.notify("on_epoch_begin", dataset_train=rows, dataset_valid=valid)
    losses = net.run_epoch(rows, progress.noise, progress.order)
    if valid is not None:
        losses |= net.run_epoch(valid, progress.noise)
    for name, loss in losses.items():
        if name in ("train_loss", "valid_loss") and not math.isfinite(loss):
            kind = "training" if name == "train_loss" else "validation"
            raise FloatingPointError(
                f"The {kind} loss is {loss} in epoch {len(net.history)}, with lr={net.lr}: try a smaller lr, or bring "
                "the features to similar scales, for instance with StandardScaler."
            )
        net.history.record(name, loss)
        if name in ("train_loss", "valid_loss"):  # what skorch's Checkpoint asks for
            net.history.record(f"{name}_best", loss <= min(net.history[:, name]))
    try:
        net.notify("on_epoch_end", dataset_train=rows, dataset_valid=valid)
    except KeyboardInterrupt:  # skorch's way for a callback such as EarlyStopping to end the training
        return losses, True
    finally:
        del net.history[-1]["batches"][:-1]  # they would fill the pickle
    return losses, False


def _copy(state):
    """A copy of the state of a module."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _state_of(callback):
    """What a callback has become in a training: by skorch's convention attributes that end in "_"."""
    state = {}
    for name, value in vars(callback).items():
        if hasattr(value, "state_dict") and not isinstance(value, type):
            value = {"state_dict": value.state_dict()}
        if name.endswith("_") and is_storable(value):
            state[name] = value
    return state


def _restore(callback, state):
    for name, value in state.items():
        if hasattr(getattr(callback, name, None), "load_state_dict"):
            getattr(callback, name).load_state_dict(value["state_dict"])
        else:
            setattr(callback, name, value)


def _scale_lr(optimizer, factor):
    for group in optimizer.param_groups:
        group["lr"] = factor * group.setdefault("initial_lr", group["lr"])
