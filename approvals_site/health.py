"""Whether this process is alive. It asks nobody else, so that it answers when others do not."""

from django.http import HttpRequest, JsonResponse


def alive(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"status": "alive"})
