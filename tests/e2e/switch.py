# SPDX-License-Identifier: LGPL-2.1-or-later
"""Switches the fast path on and off at random, every 0.2 to 5 ms, until it is killed: so often that live
connections are between any two of their steps when it happens."""
import random
import time

import dbus

MANAGER = 'io.slicemesh.Mesh1.Manager'

bus = dbus.SystemBus()
properties = dbus.Interface(bus.get_object('io.slicemesh.Mesh1', '/io/slicemesh/Mesh1', introspect=False),
                            'org.freedesktop.DBus.Properties')
on = True
while True:
    on = not on
    try:
        properties.Set(MANAGER, 'FastPath', dbus.Boolean(on, variant_level=1))
    except dbus.DBusException as error:
        if error.get_dbus_name() not in ('org.freedesktop.DBus.Error.NoReply',
                                         'org.freedesktop.DBus.Error.ServiceUnknown',
                                         'org.freedesktop.DBus.Error.NameHasNoOwner'):
            raise
        break  # slicemeshd has ended; this is started again with it
    time.sleep(random.uniform(0.0002, 0.005))
