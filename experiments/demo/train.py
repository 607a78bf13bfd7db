"""From nothing to a trained model on two CPU cores: what `make demo-train` runs.

Each step is a command that works by itself; the demo prints it before it runs.
"""

import pathlib
import sys
import time

from absl import flags

from experiments.common import cli
from experiments.common.commands import run_command
from experiments.demo.demo_folder import begin_output
from xctrs_tf.errors import UserError

FLAGS = flags.FlagValues()
flags.DEFINE_string(
    "output", "demo-train", "folder for everything the demo makes", flag_values=FLAGS
)
flags.DEFINE_integer("num_patients", 150, "phantoms in the cohort", flag_values=FLAGS)
flags.DEFINE_integer("steps", 1000, "training steps", flag_values=FLAGS)
flags.DEFINE_integer("seed", 0, "of the phantoms and of the training", flag_values=FLAGS)
flags.DEFINE_boolean(
    "keep", False, "go on with what an earlier demo left in --output", flag_values=FLAGS
)

_MAX_MINUTES = 7.5
# Faults that the demo makes on purpose; all of them take two minutes.
_FAULTS = (
    *("none", "swapped", "la mirrored", "ap upside down", "la inverted"),
    *("both crops off by 20 mm", "la of another patient", "hand"),
)
# Marks a folder that a demo made; only such a folder is removed.
_MARK = ".xctrs-demo-train"
# Random features are a hundred times smaller than ImageNet's.
_VGG_FLAGS = {
    True: ["--vgg_weights=imagenet"],
    False: ["--vgg_weights=random", "--vgg_weight=1e-4"],
}


def execute():
    """Run every step from phantoms to a reconstruction."""
    began = time.monotonic()
    output = pathlib.Path(FLAGS.output)
    cli.lock_output(output, beside=True)
    begin_output(output, _MARK, FLAGS.keep)
    data, run, films = output / "data", output / "run", output / "films"

    cohort = [f"--num_patients={FLAGS.num_patients}", "--size=32", f"--seed={FLAGS.seed}"]
    run_command("prepare", "--source=phantom", *cohort, f"--output={data}")
    training = [f"--steps={FLAGS.steps}", f"--max_minutes={_MAX_MINUTES}", f"--seed={FLAGS.seed}"]
    training += _VGG_FLAGS[_imagenet_is_at_hand()]
    run_command("train", "--preset=demo", f"--data={data}", f"--workdir={run}", *training)
    run_command("evaluate", f"--workdir={run}", "--figures=1")
    # The export holds it, so that a reconstruction gets a verdict.
    quality = [f"--output={run / 'quality.json'}", f"--faults={','.join(_FAULTS)}"]
    run_command("calibrate", f"--workdir={run}", f"--data={data}", *quality)
    run_command("export", f"--workdir={run}", f"--output={output / 'model'}")
    patient = _write_films_of_unseen_patient(data, films)
    run_command(
        "reconstruct",
        f"--model={output / 'model'}",
        f"--ap={films / 'ap.png'}",
        f"--la={films / 'la.png'}",
        f"--output={output / 'reconstruction'}",
    )

    print((run / "evaluation" / "table.md").read_text(encoding="utf-8"))
    print(f"Phantom {patient}, which the networks had not seen, from its two films alone:")
    for path in sorted(output.glob("re*/*")) + sorted((run / "evaluation").rglob("*.png")):
        print(f"  {path}")
    print(f"The demo took {(time.monotonic() - began) / 60:.1f} minutes.")


def _imagenet_is_at_hand():
    """Return True if the VGG16 weights are present or can be downloaded; else print a note."""
    cli.load_tensorflow()
    import tensorflow as tf

    from xctrs_tf.losses.vgg16 import truncated_vgg16

    # This process would keep the memory of a GPU, which the training needs.
    tf.config.set_visible_devices([], "GPU")
    try:
        truncated_vgg16("imagenet", "block1_conv1")
    except UserError:
        print("VGG16's ImageNet weights cannot be downloaded: the demo uses random VGG features")
        return False
    return True


def _write_films_of_unseen_patient(data, films):
    """Write both films of the first test phantom as PNG files; return its id."""
    from xctrs_tf.data.dataset import open_dataset
    from xctrs_tf.data.films.film_writer import write_film

    dataset = open_dataset(data)
    case = dataset.load(dataset.split(0).test[0])
    films.mkdir(exist_ok=True)
    write_film(films / "ap.png", case.ap, "ap")
    write_film(films / "la.png", case.la, "la")
    return case.id


def main(argv=None):
    """Run the program on a command line; return its exit status."""
    return cli.run(execute, FLAGS, argv)


if __name__ == "__main__":
    sys.exit(main())
