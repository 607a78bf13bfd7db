from experiments.common.presets import preset_config


def test_x2ctgan_is_trained_as_published_unless_a_flag_says_otherwise():
    config = preset_config("demo+table2-x2ctgan", data="DATA")
    config.check()
    assert (config.batch_size, config.steps) == (4, 1000)
    assert (config.beta_1, config.beta_2, config.learning_rate) == (0.5, 0.99, 2e-4)
    assert config.schedule == "constant_linear"
    given = {"batch_size": 2, "schedule": "constant", "learning_rate": 1e-3}
    config = preset_config("demo+table2-x2ctgan", data="DATA", **given)
    assert {name: getattr(config, name) for name in given} == given
