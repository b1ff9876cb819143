from .check import check_ids, check_options, whole_epochs
from .context import Configuration, current_configuration

__all__ = ["Configuration", "check_ids", "check_options", "current_configuration", "whole_epochs"]
