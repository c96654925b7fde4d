"""Augmentations: invariances, inverses, slow references, and what the presets stand for."""

import math
import pickle
from functools import partial

import pytest
import torch

from sklearn_geoal.augment import (
    PRESETS,
    Affine,
    BandDropout,
    BandShift,
    Compose,
    Flip,
    GainOffset,
    GaussianNoise,
    Photometric,
    Rotate90,
    Shift,
    Tilt,
    Warp,
    resolve_augment,
)

SPECTRAL = [GaussianNoise(0.1), GainOffset(), Tilt(), BandDropout(0.4), BandShift(2)]
GEOMETRIC = [Flip(True, True), Rotate90(), Shift(0.2), Affine()]
IMAGE = [*GEOMETRIC, Photometric()]
NOTHING = [
    GaussianNoise(0.0),
    GainOffset(0.0, 0.0),
    Tilt(0.0),
    BandDropout(0.0),
    BandShift(0),
    Photometric(0.0, 0.0, 0.0),
    Flip(False, False),
    Shift(0.0),
    Affine(0.0, 0.0, 0.0, 0.0),
    Compose(),
]
every = pytest.mark.parametrize("augmentation", [*SPECTRAL, *IMAGE, Compose([Flip(), *SPECTRAL, *IMAGE])], ids=repr)
geometric = pytest.mark.parametrize("augmentation", GEOMETRIC, ids=repr)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def smooth_images(n, height, width):
    """Images of a wave each, a few pixels long at least, in double precision."""
    rows = torch.arange(height, dtype=torch.float64)[:, None] / max(height, width)
    columns = torch.arange(width, dtype=torch.float64) / max(height, width)
    a, b, phase = torch.rand(3, n, 2, 1, 1, dtype=torch.float64)
    return torch.sin(4 * a * rows + 4 * b * columns + 6 * phase)


@every
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(0, 2, 5, 4), (1, 1, 1, 1), (3, 2, 1, 7), (5, 3, 6, 6), (4, 7, 3, 8)])
def test_images_keep_shape_and_type_and_the_input_its_values(augmentation, shape, dtype):
    x = torch.randn(shape, dtype=dtype)
    before = x.clone()
    y = augmentation(x)
    assert y.shape == x.shape and y.dtype == dtype
    assert torch.isfinite(y).all()
    assert torch.equal(x, before)
    assert not len(x) or y.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("augmentation", [*SPECTRAL, Compose(SPECTRAL)], ids=repr)
@pytest.mark.parametrize("shape", [(0, 4), (1, 1), (3, 1), (5, 40)])
def test_spectra_keep_shape_and_type_and_the_input_its_values(augmentation, shape):
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(shape, dtype=dtype)
        before = x.clone()
        y = augmentation(x)
        assert y.shape == x.shape and y.dtype == dtype
        assert torch.isfinite(y).all()
        assert torch.equal(x, before)


@every
def test_a_seed_gives_one_result_and_leaves_the_global_generator_alone(augmentation):
    x = torch.randn(6, 5, 8, 8)
    state = torch.get_rng_state()
    first, again, other = (augmentation(x, seeded(seed)) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), state)


@every
def test_without_a_generator_draws_come_from_the_global_one(augmentation):
    x = torch.randn(6, 5, 8, 8)
    results = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        results.append(augmentation(x))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


@every
def test_each_sample_has_draws_of_its_own(augmentation):
    x = torch.randn(1, 5, 8, 8).repeat(20, 1, 1, 1)
    y = augmentation(x).reshape(20, -1)
    assert len(y.unique(dim=0)) > 1


@pytest.mark.parametrize("augmentation", NOTHING, ids=repr)
def test_strength_zero_is_the_identity(augmentation):
    x = torch.randn(5, 3, 8, 10)
    torch.testing.assert_close(augmentation(x), x, rtol=0, atol=1e-5)


@every
def test_pickles_and_shows_what_it_was_made_of(augmentation):
    assert pickle.loads(pickle.dumps(augmentation)) == augmentation
    assert eval(repr(augmentation)) == augmentation


@pytest.mark.parametrize("std", [0.05, 2.0])
def test_noise_has_the_standard_deviation_it_says(std):
    noise = GaussianNoise(std)(torch.zeros(200, 500))
    assert noise.mean().item() == pytest.approx(0, abs=0.02 * std)
    assert noise.std().item() == pytest.approx(std, rel=0.01)


def test_gain_and_offset_are_one_each_for_a_sample_and_keep_to_their_range():
    x = torch.randn(500, 7, dtype=torch.float64)
    y = GainOffset(gain=0.2, offset=0.5)(x)
    gain = (y[:, 1] - y[:, 0]) / (x[:, 1] - x[:, 0])
    offset = y[:, 0] - gain * x[:, 0]
    torch.testing.assert_close(y, gain[:, None] * x + offset[:, None])
    for value, middle, reach in ((gain, 1, 0.2), (offset, 0, 0.5)):
        distance = (value - middle).abs().max().item()
        assert 0.9 * reach < distance <= reach + 1e-8


def test_tilt_is_a_parabola_within_its_strength_that_keeps_the_gain():
    curve = Tilt(0.3)(torch.ones(300, 50, dtype=torch.float64)) - 1
    assert 0.2 < curve.abs().max() <= 0.3
    torch.testing.assert_close(curve.diff(n=3, dim=1), torch.zeros(300, 47, dtype=torch.float64), rtol=0, atol=1e-12)
    assert curve.mean(1).abs().max() < 0.01


def test_band_dropout_sets_as_many_to_zero_as_it_says_and_keeps_the_others():
    x = 1 + torch.rand(300, 100)
    y = BandDropout(0.1)(x)
    assert (y == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(y[y != 0], x[y != 0])


def test_band_shift_against_a_slow_reference():
    x = torch.randn(200, 6)
    found = set()
    for before, after in zip(x, BandShift(2)(x), strict=True):
        candidates = {
            shift: torch.stack([before[min(max(band - shift, 0), 5)] for band in range(6)]) for shift in range(-2, 3)
        }
        matching = [shift for shift, candidate in candidates.items() if torch.equal(candidate, after)]
        assert len(matching) == 1
        found.update(matching)
    assert found == {-2, -1, 0, 1, 2}


@pytest.mark.parametrize("augmentation", SPECTRAL[1:], ids=repr)
def test_all_pixels_of_an_image_share_one_change_of_the_spectrum(augmentation):
    spectra = torch.randn(4, 9)
    images = spectra[:, :, None, None].expand(4, 9, 3, 5)
    changed = augmentation(images, seeded())
    torch.testing.assert_close(changed, augmentation(spectra, seeded())[:, :, None, None].expand_as(changed))


def test_photometric_changes_light_and_not_the_picture():
    x = torch.randn(300, 3, 6, 5, dtype=torch.float64)
    y = Photometric(brightness=0.3, contrast=0.2, channel=0.1)(x)
    factor = y.std(dim=(2, 3)) / x.std(dim=(2, 3))
    torch.testing.assert_close(factor, factor[:, :1].expand_as(factor))  # one contrast for all channels
    assert 0.19 < (factor - 1).abs().max() <= 0.2 + 1e-8
    added = (y - x).mean(dim=(2, 3))
    assert 0.3 < added.abs().max() <= 0.4 + 1e-8
    centred, changed = (z - z.mean(dim=(2, 3), keepdim=True) for z in (x, y))
    torch.testing.assert_close(changed, factor[:, :, None, None] * centred)


@pytest.mark.parametrize("shape", [(40, 2, 6, 6), (40, 2, 5, 5), (40, 1, 4, 7), (40, 3, 1, 2), (3, 1, 1, 1)])
@pytest.mark.parametrize("augmentation", [Flip(), Flip(False, True), Flip(True, True), Rotate90()], ids=repr)
def test_flips_and_turns_have_an_exact_inverse_and_lose_no_pixel(augmentation, shape):
    x = torch.randn(shape)
    warp = augmentation.draw(x)
    assert torch.equal(warp.inverse(warp(x)), x)
    assert torch.equal(warp(warp.inverse(x)), x)
    assert (warp(torch.ones(shape)) == 1).all()


def test_flips_and_turns_are_those_of_torch():
    square, oblong = torch.randn(1, 2, 5, 5), torch.randn(1, 2, 4, 6)
    turns = [torch.rot90(square, k, (2, 3)) for k in range(4)]
    for augmentation, x, expected in [
        (Flip(), oblong, [oblong, oblong.flip(3)]),
        (Flip(False, True), oblong, [oblong, oblong.flip(2)]),
        (Flip(True, True), oblong, [oblong, oblong.flip(3), oblong.flip(2), oblong.flip(2, 3)]),
        (Rotate90(), oblong, [oblong, oblong.flip(2, 3)]),
        (Rotate90(), square, turns),
        (Compose([Flip(), Rotate90()]), square, [*turns, *(turn.flip(3) for turn in turns)]),
    ]:
        drawn = augmentation(x.repeat(200, 1, 1, 1)).flatten(1).unique(dim=0)
        assert torch.equal(drawn, torch.cat(expected).flatten(1).unique(dim=0))


@pytest.mark.parametrize("height, width", [(10, 10), (10, 21), (11, 8)])
def test_shift_has_an_exact_inverse_in_the_interior(height, width):
    x = torch.randn(50, 2, height, width)
    warp = Shift(0.2).draw(x)
    margins = round(0.2 * height), round(0.2 * width)
    back, valid = warp.inverse(warp(x)), warp.inverse(warp(torch.ones_like(x)))
    interior = (..., slice(margins[0], -margins[0]), slice(margins[1], -margins[1]))
    assert torch.equal(back[interior], x[interior])
    assert torch.equal(back, x * valid)
    assert set(valid.unique().tolist()) == {0.0, 1.0}
    assert set(warp.shift[:, 0].tolist()) == set(range(-margins[1], margins[1] + 1))
    assert set(warp.shift[:, 1].tolist()) == set(range(-margins[0], margins[0] + 1))


@pytest.mark.parametrize("height, width", [(40, 40), (30, 55), (41, 24)])
@pytest.mark.parametrize(
    "augmentation",
    [Affine(shift=0.05), Compose([Flip(), Affine(shift=0.0), Rotate90(), GaussianNoise(), Shift(0.05)])],
    ids=repr,
)
def test_what_was_warped_comes_back_to_its_place(augmentation, height, width):
    x = smooth_images(20, height, width)
    drawn = Compose([augmentation]).draw(x)
    back = drawn.unwarp(drawn.warp(x))
    valid = drawn.unwarp(drawn.warp(torch.ones_like(x)))
    whole = valid > 1 - 1e-9
    assert (back - x)[whole].abs().max() < 0.02
    assert whole[..., height // 2 - 5 : height // 2 + 5, width // 2 - 5 : width // 2 + 5].all()
    assert ((back - valid * x).abs() < 0.1).all()
    assert valid.max() < 1 + 1e-9


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize("side", [5, 6])
def test_warp_by_a_right_angle_is_rot90(side, interpolation):
    x = torch.randn(1, 2, side, side, dtype=torch.float64)
    angle = torch.tensor(math.pi / 2, dtype=torch.float64)
    # counter-clockwise, with rows counted downwards
    matrix = torch.stack([angle.cos(), angle.sin(), -angle.sin(), angle.cos()]).reshape(1, 2, 2)
    warp = Warp(matrix, matrix.new_zeros(1, 2), interpolation)
    torch.testing.assert_close(warp(x), torch.rot90(x, 1, (2, 3)))
    torch.testing.assert_close(warp.inverse(x), torch.rot90(x, -1, (2, 3)))


def test_rotation_keeps_distances_in_pixels_on_oblong_images():
    x = torch.zeros(200, 1, 31, 61, dtype=torch.float64)
    warp = Affine(rotation=math.pi, scale=0.0, shear=0.0, shift=0.0).draw(x)
    rows, columns = torch.meshgrid(torch.arange(31.0) - 15, torch.arange(61.0) - 30, indexing="ij")
    distance = (rows**2 + columns**2).double().expand_as(x)
    disk = (distance < 12**2).expand_as(x)  # within the frame at every angle
    assert (warp(distance) - distance)[disk].abs().max() <= 0.5 + 1e-9  # bilinear: 1/4 for each square


def test_shift_by_half_a_pixel_is_the_mean_of_neighbours():
    x = torch.randn(1, 1, 4, 6)
    moved = Warp(torch.eye(2)[None], torch.tensor([[0.5, 0.0]]))(x)
    torch.testing.assert_close(moved[..., 1:], (x[..., 1:] + x[..., :-1]) / 2)
    torch.testing.assert_close(moved[..., 0], x[..., 0] / 2)


@geometric
def test_images_are_warped_as_maps_and_filled_beyond_the_border(augmentation):
    x = 5 + torch.rand(30, 2, 9, 9)
    drawn = Compose([augmentation]).draw(x, seeded())
    valid = drawn.warp(torch.ones_like(x)) > 1 - 1e-5
    torch.testing.assert_close(drawn.images[valid], drawn.warp(x)[valid])
    assert drawn.images.min() >= x.min() - 1e-4
    assert torch.equal(drawn.images, augmentation(x, seeded()))


@geometric
def test_maps_of_any_number_of_channels_are_warped_channel_by_channel(augmentation):
    x, maps = torch.randn(5, 3, 8, 9), torch.randn(5, 6, 8, 9)
    warp = augmentation.draw(x)
    for move in (warp, warp.inverse):
        torch.testing.assert_close(move(maps), torch.cat([move(maps[:, [i]]) for i in range(6)], 1))
        assert move(maps.double()).dtype == torch.float64


def test_photometric_steps_leave_maps_in_their_places():
    x, maps = torch.randn(4, 3, 6, 6), torch.randn(4, 2, 6, 6)
    drawn = Compose([Photometric(), GaussianNoise(), lambda x: 2 * x]).draw(x)
    assert torch.equal(drawn.warp(maps), maps) and torch.equal(drawn.unwarp(maps), maps)


def plus_one(x):
    return x + 1


def plus_noise(x, generator=None):
    return x + torch.rand(x.shape, generator=generator)


def test_functions_of_ones_own():
    x = torch.randn(3, 4)
    assert torch.equal(
        Compose([plus_one, torch.relu, torch.nn.Identity(), partial(torch.mul, 2)])(x), 2 * (x + 1).relu()
    )
    compose = Compose([plus_noise])
    assert torch.equal(compose(x, seeded()), compose(x, seeded()))
    assert pickle.loads(pickle.dumps(compose)) == compose


class Mirror:
    """A geometric augmentation of one's own."""

    def __call__(self, x, generator=None):
        return x.flip(3)

    def draw(self, x, generator=None):
        matrix = torch.tensor([[-1.0, 0.0], [0.0, 1.0]]).expand(len(x), 2, 2)
        return Warp(matrix, torch.zeros(len(x), 2), "nearest")


def test_geometric_augmentation_of_ones_own():
    x = torch.randn(2, 3, 4, 5)
    drawn = Compose([Mirror(), plus_one]).draw(x)
    assert torch.equal(drawn.images, x.flip(3) + 1)
    assert torch.equal(drawn.unwarp(x), x.flip(3))


def test_compose_is_flat():
    nested = Compose([Flip(), Compose([Tilt(), Compose([Shift()])])])
    assert nested == Compose([Flip(), Tilt(), Shift()])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: GaussianNoise(-0.1), r"std of GaussianNoise must be a number in \[0, inf\); got -0.1"),
        (lambda: GaussianNoise(math.nan), "got nan"),
        (lambda: GaussianNoise("0.1"), "got '0.1'"),
        (lambda: GainOffset(gain=1.5), r"gain of GainOffset must be a number in \[0, 1\); got 1.5"),
        (lambda: BandDropout(None), "rate of BandDropout"),
        (lambda: BandShift(0.5), r"max_shift of BandShift must be an integer in \[0, inf\); got 0.5"),
        (lambda: Affine(scale=1.0), "scale of Affine"),
        (lambda: Affine(rotation=math.inf), "rotation of Affine"),
        (lambda: Flip("yes"), "horizontal of Flip must be True or False; got 'yes'"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("augmentation", IMAGE, ids=repr)
def test_augmentations_of_images_refuse_rows(augmentation):
    with pytest.raises(ValueError, match=r"takes a batch of shape \(n, channels, height, width\); got \(5, 7\)"):
        augmentation(torch.randn(5, 7))


@every
def test_what_is_no_batch_of_floats_is_refused(augmentation):
    with pytest.raises(ValueError, match=r"got \(5,\)"):
        augmentation(torch.randn(5))
    with pytest.raises(TypeError, match=r"float32 or float64; got torch.uint8"):
        augmentation(torch.zeros(2, 3, 4, 4, dtype=torch.uint8))
    with pytest.raises(TypeError, match=r"float32 or float64; got ndarray"):
        augmentation(torch.zeros(2, 3, 4, 4).numpy())


@geometric
def test_maps_of_other_images_are_refused(augmentation):
    warp = augmentation.draw(torch.randn(5, 3, 8, 8))
    with pytest.raises(ValueError, match=r"shape \(5, channels, height, width\).*got \(1, 3, 8, 8\)"):
        warp(torch.randn(1, 3, 8, 8))
    with pytest.raises(TypeError, match="one-hot coded for instance; got torch.int64"):
        warp.inverse(torch.zeros(5, 1, 8, 8, dtype=torch.int64))


@pytest.mark.parametrize("function", [lambda x: x[:1], lambda x: x.double(), lambda x: x.numpy(), lambda x: None])
def test_functions_that_change_the_form_of_the_batch_are_refused(function):
    with pytest.raises(
        ValueError, match=r"must return a tensor like the one it is given, \(2, 3\), torch.float32; got"
    ):
        Compose([function])(torch.randn(2, 3))


def test_auto_reads_the_form_of_the_samples():
    for shape, name in [((7,), "table"), ((7, 1, 1), "table"), ((1, 28, 28), "image"), ((4, 1, 9), "image")]:
        assert resolve_augment("auto", shape) == Compose(PRESETS[name])


@pytest.mark.parametrize("shape", [(1,), (200,), (6, 1, 1), (1, 16, 16), (3, 9, 12)])
@pytest.mark.parametrize("augment", ["auto", *PRESETS, None])
def test_presets_apply_to_every_form_they_are_for(augment, shape):
    if augment in ("image", "aerial") and len(shape) == 1:
        with pytest.raises(ValueError, match=f"needs images, but X has rows of {shape[0]} features"):
            resolve_augment(augment, shape)
        return
    x = torch.randn(4, *shape)
    assert resolve_augment(augment, shape)(x).shape == x.shape


def test_resolve_takes_one_augmentation_a_function_or_a_list():
    assert resolve_augment(None, (5,)) == Compose()
    assert resolve_augment([], (5,)) == Compose()
    assert resolve_augment(Tilt(), (5,)) == resolve_augment([Tilt()], (5,)) == Compose([Tilt()])
    assert resolve_augment(plus_one, (5,)) == Compose([plus_one])
    assert resolve_augment(Compose([Flip(), Tilt()]), (3, 4, 4)) == Compose([Flip(), Tilt()])
    assert resolve_augment([*PRESETS["aerial"], Tilt()], (3, 4, 4)) == Compose([*PRESETS["aerial"], Tilt()])


@pytest.mark.parametrize(
    "augment, error, message",
    [
        ("areal", ValueError, "augment must be one of 'auto', .*'aerial'; got 'areal'"),
        (["aerial"], TypeError, r"as \*PRESETS\[name\]; got 'aerial'"),
        ([Tilt(), 3], TypeError, "got 3"),
        (Tilt, TypeError, "give an instance .*; got <class"),
        ({"Tilt": 1}, TypeError, "got {'Tilt': 1}"),
        (Flip(), ValueError, r"Flip\(.*\) needs images, but X has rows of 5 features"),
        ([Tilt(), Photometric()], ValueError, r"Photometric\(.*\) needs images"),
    ],
)
def test_resolve_errors(augment, error, message):
    with pytest.raises(error, match=message):
        resolve_augment(augment, (5,))


def test_compose_takes_a_list():
    with pytest.raises(TypeError, match="augmentations must be a list; got 'aerial'"):
        Compose("aerial")


@pytest.mark.gpu
@every
def test_draws_on_the_device_of_the_batch(augmentation):
    x = torch.randn(6, 5, 8, 8, device="cuda")
    first, again = (augmentation(x, torch.Generator("cuda").manual_seed(3)) for _ in range(2))
    assert first.device == x.device
    assert torch.equal(first, again)
