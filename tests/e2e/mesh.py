# SPDX-License-Identifier: LGPL-2.1-or-later
import os
import pathlib
TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get('SLICEMESH_BUILD', TOP / 'build'))
