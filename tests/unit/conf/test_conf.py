# SPDX-License-Identifier: Apache-2.0
"""Can every setting be registered, generated and understood?"""

import pkgutil
from collections import Counter

import pytest
from oslo_config import cfg

from karbor import conf as settings

each_module = pytest.mark.parametrize("module", settings.MODULES, ids=lambda module: module.__name__)
ALL = [(group, opt) for group, opts in settings.list_opts() for opt in opts]
each_option = pytest.mark.parametrize(("group", "opt"), ALL, ids=[f"{group}.{opt.name}" for group, opt in ALL])


def _registered(module):
    conf = cfg.ConfigOpts()
    module.register_opts(conf)
    conf([], project="karbor-test", default_config_files=[], default_config_dirs=[])
    return conf


@each_module
def test_options_may_be_registered_twice(module):
    conf = _registered(module)
    module.register_opts(conf)


@each_module
def test_what_is_listed_is_what_is_registered(module):
    conf = _registered(module)
    for group, opts in module.list_opts():
        section = conf if group == "DEFAULT" else conf[group]
        assert all(opt.dest in section for opt in opts)


@each_module
def test_every_default_is_allowed(module):
    conf = _registered(module)
    for group, opts in module.list_opts():
        section = conf if group == "DEFAULT" else conf[group]
        for opt in opts:
            _ = section[opt.dest]


@each_option
def test_every_option_says_what_it_means_in_a_sentence(group, opt):
    assert opt.help and opt.help.endswith(".")


@each_option
def test_what_holds_a_password_is_secret(group, opt):
    assert opt.secret or not any(word in opt.name for word in ("password", "secret", "connection", "token"))


@each_option
def test_every_number_has_a_lower_bound(group, opt):
    if isinstance(opt, cfg.IntOpt | cfg.FloatOpt):
        assert opt.type.min is not None


def test_no_option_is_declared_twice():
    assert not [name for name, count in Counter((group, opt.dest) for group, opt in ALL).items() if count > 1]


def test_no_module_of_the_package_is_forgotten():
    assert {found.name for found in pkgutil.iter_modules(settings.__path__)} == {
        module.__name__.rpartition(".")[2] for module in settings.MODULES
    }


def test_all_modules_can_be_registered_together():
    settings.register_opts(cfg.ConfigOpts())


def test_the_generator_finds_the_list():
    assert {"DEFAULT", "database", "jobs", "vault"} <= {group for group, _opts in settings.list_opts()}
