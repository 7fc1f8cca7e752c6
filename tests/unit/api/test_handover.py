# SPDX-License-Identifier: Apache-2.0
"""Does a response that was left reach the client untouched, and every other one as before?"""

import webob

from karbor.api.handover import HandOver, leave


def application(environ, start_response):
    request = webob.Request(environ)
    if request.path == "/left":
        found = leave(request, webob.Response(app_iter=iter([b"a", b"b"]), content_length=2, status=206))
    else:
        found = webob.Response(b"plain")
    return found(environ, start_response)


def test_what_was_left_is_given_part_by_part():
    answer = webob.Request.blank("/left").get_response(HandOver(application))
    assert (answer.status_int, list(answer.app_iter)) == (206, [b"a", b"b"])


def test_what_was_not_left_passes():
    answer = webob.Request.blank("/other").get_response(HandOver(application))
    assert (answer.status_int, answer.body) == (200, b"plain")
