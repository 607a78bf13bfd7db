"""Flags that name a run, its data and what is written about it."""

from absl import flags

# Flag value to the list of `xctrs_tf.data.dataset.Split`.
SPLITS = {"test": "test", "validation": "validation", "train": "training"}
GROUPS = {"Run": None}


class RunFlags:
    """Flags of the programs that look at a finished run.

    Args:
        flag_values: `flags.FlagValues` of the program.
        names: which are defined: of ``workdir``, ``data``, ``split``, ``checkpoint``,
            ``output`` and ``label_name``. Each is an attribute of that name.
        output: help of ``--output``: each program has its own rule for what it writes by default.
    """

    def __init__(self, flag_values, names, output="Folder to write."):
        define = {
            "workdir": (flags.DEFINE_string, None, "Run folder of experiments.train."),
            "data": (flags.DEFINE_string, None, "Prepared data folder; by default the run's own."),
            "split": (flags.DEFINE_enum, "test", list(SPLITS), "Patients of the run's fold."),
            "checkpoint": (
                *(flags.DEFINE_enum, "best", ["best", "last"]),
                "Weights: lowest validation loss, or newest.",
            ),
            "output": (flags.DEFINE_string, None, output),
            "label_name": (
                *(flags.DEFINE_string, None),
                "Name of the overlap in table and figures; by default what experiments.prepare "
                "--label_name was given for the data. Of labels that a network made it says so.",
            ),
        }
        for name in names:
            function, *arguments = define[name]
            setattr(self, name, function(name, *arguments, flag_values=flag_values))
