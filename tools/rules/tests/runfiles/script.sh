#!/bin/sh
. "$0.runfiles/_main/tools/rules/tests/runfiles/helper.sh"
