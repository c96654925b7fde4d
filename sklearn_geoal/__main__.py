"""Command line: label scenes in the browser; apply saved models, draw pixels, ask for labels, without Python."""

import argparse
import sys
from pathlib import Path

from .persistence import load
from .scenes import open_scene, predict_scene, queries_to_vector, sample_pixels


def main(arguments=None):
    """Run a command; the exit status is 0, or 2 after an error, 130 after Ctrl-C: one line on the standard error."""
    args = _parser().parse_args(arguments)
    try:
        for line in args.run(args):
            print(line)
    except (ValueError, TypeError, OSError, ImportError, IndexError, RuntimeError, AttributeError) as error:
        if args.debug:
            raise
        print(f"sklearn_geoal {args.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        if args.debug:
            raise
        print(f"sklearn_geoal {args.command}: interrupted", file=sys.stderr)
        return 130
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="python -m sklearn_geoal", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")

    predict = _command(commands, "predict", _predict, "apply a saved estimator to a scene and write maps", model=True)
    predict.add_argument("output", help="GeoTIFF of the first output; others lie beside it")
    predict.add_argument("--outputs", help="label, confidence, probabilities, features, score_samples, by commas")
    predict.add_argument(
        "--block-size", type=int, default=512, metavar="PIXELS", help="side of a block, 512 by default"
    )
    predict.add_argument(
        "--missing", choices=("any", "all"), default="any", help="leave out pixels that lack any band, or all"
    )
    predict.add_argument("--overviews", action="store_true", help="write cloud-optimised GeoTIFFs")
    predict.add_argument("--jobs", type=int, default=1, metavar="N", help="blocks at a time, -1 for all cores")

    sample = _command(commands, "sample", _sample, "draw pixels that stand for a scene, as points", model=False)
    sample.add_argument("output", help="GeoJSON, GeoPackage or shapefile")
    sample.add_argument("-n", type=int, default=100, help="number of pixels, 100 by default")
    sample.add_argument("--strategy", choices=("random", "spread", "coverage"), default="random")
    sample.add_argument("--seed", type=int, default=0)

    queries = _command(
        commands, "queries", _queries, "write the pixels whose label would tell most, as points", model=True
    )
    queries.add_argument("output", help="GeoJSON, GeoPackage or shapefile")
    queries.add_argument("-n", type=int, default=20, help="number of queries, 20 by default")

    label = _command(
        commands, "label", _label, "answer the queries on a scene in the browser", model=False, scene_optional=True
    )
    label.add_argument("--classes", default="", help="names of the classes, by commas; more can be added on the page")
    label.add_argument("--folder", default="labels", help="where answers and results are kept, labels by default")
    label.add_argument("--features", metavar="MODEL", help="saved estimator of features, or of features and a learner")
    label.add_argument("--pixels", type=int, default=10_000, help="pixels that the learner sees, 10000 by default")
    label.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; by default only this machine has access"
    )
    label.add_argument("--port", type=int, default=0, help="port, any that is free by default")
    label.add_argument("--no-browser", action="store_true", help="print the address only")
    return parser


def _command(commands, name, run, text, model, scene_optional=False):
    command = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    if model:
        command.add_argument("model", help="file that sklearn_geoal.save has written")
    if scene_optional:
        command.add_argument("scene", nargs="?", help="file that GDAL reads; a generated scene by default")
    else:
        command.add_argument("scene", help="file that GDAL reads")
    command.add_argument("--bands", help="names or positions from 0, by commas; all by default")
    command.add_argument("--nodata", type=float, help="value of missing measurements, instead of that in the file")
    command.add_argument("--mask", help="file that is not 0 where pixels are missing")
    command.add_argument("--quiet", action="store_true", help="no progress bar")
    command.add_argument("--debug", action="store_true", help="show where an error comes from")
    command.set_defaults(run=run)
    return command


def _open(args):
    bands = None if args.bands is None else [int(b) if b.isdigit() else b for b in args.bands.split(",")]
    nodata = "auto" if args.nodata is None else args.nodata
    return open_scene(args.scene, bands=bands, nodata=nodata, mask=args.mask)


def _predict(args):
    outputs = None if args.outputs is None else args.outputs.split(",")
    paths = predict_scene(
        load(args.model),
        _open(args),
        args.output,
        outputs=outputs,
        block_size=args.block_size,
        missing=args.missing,
        overviews=args.overviews,
        n_jobs=args.jobs,
        verbose=not args.quiet,
    )
    return list(paths.values())


def _sample(args):
    scene = _open(args)
    sample = sample_pixels(scene, args.n, strategy=args.strategy, random_state=args.seed, verbose=not args.quiet)
    return [queries_to_vector(scene, sample.rows, args.output, scores=sample.weights)]


def _queries(args):
    scene, learner = _open(args), load(args.model)
    while hasattr(learner, "steps"):  # of a pipeline the last step asks
        learner = learner[-1]
    if not hasattr(learner, "query"):
        raise ValueError(
            f"{Path(args.model).name} holds a {type(learner).__name__}, which has no query: give a learner that asks, "
            "such as LANDClassifier, or a Pipeline that ends in one."
        )
    rows = learner.query(args.n)
    n_fitted = len(learner.query_scores_)
    if n_fitted != scene.n_pixels:
        raise ValueError(
            f"{Path(args.model).name} was fitted to {n_fitted} rows, but the scene has {scene.n_pixels} pixels: "
            "queries are rows of what was fitted."
        )
    return [queries_to_vector(scene, rows, args.output, scores=learner.query_scores_)]


def _label(args):
    from .labeling import LabelingSession, serve

    classes = [name.strip() for name in args.classes.split(",") if name.strip()]
    learner = None if args.features is None else _with_learner(load(args.features))
    scene = _demo_scene() if args.scene is None else _open(args)

    def open_session(tell):
        return LabelingSession(scene, learner, classes, args.folder, n_pixels=args.pixels, tell=tell)

    def announce(address):
        print(f"Label at {address} (end with Ctrl-C; answers are kept in {args.folder})", flush=True)

    try:
        serve(open_session, host=args.host, port=args.port, open_browser=not args.no_browser, announce=announce)
    except KeyboardInterrupt:
        pass
    return []


def _with_learner(estimator):
    """An estimator that asks, after those features if it does not do so itself."""
    last = estimator
    while hasattr(last, "steps"):
        last = last[-1]
    if hasattr(last, "query"):
        return estimator
    from sklearn.pipeline import make_pipeline

    from . import LANDClassifier

    return make_pipeline(estimator, LANDClassifier(random_state=0))


def _demo_scene():
    from .datasets import make_hyperspectral_scene

    scene = make_hyperspectral_scene(random_state=0)
    return open_scene(scene.data.T.reshape(-1, *scene.scene_shape))


if __name__ == "__main__":
    sys.exit(main())
