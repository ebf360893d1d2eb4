"""One person's saved views: lists of the queue with their filters, under names of their own."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST

from proposals import services
from proposals.console.admission import Request, people_only
from proposals.console.forms import Refusable
from proposals.console.lists import Place
from proposals.exceptions import InvalidRequest, NotFound
from proposals.models import SavedView
from proposals.models.desk import LONGEST_VIEW_NAME, MOST_VIEWS


class ViewForm(Refusable):
    """A name for a list."""

    name = forms.CharField(
        max_length=LONGEST_VIEW_NAME,
        error_messages={
            "required": "Give it a name.",
            "max_length": f"A name has at most {LONGEST_VIEW_NAME} characters.",
        },
    )


@require_http_methods(["GET", "POST"])
@people_only
def saved_views(request: Request) -> HttpResponse:
    """Which lists did I keep? And, by POST, keep the one I came from."""
    asked = request.POST if request.method == "POST" else request.GET
    place = Place.of(asked.get("of", ""), request.user) if asked.get("of") else None
    form = ViewForm(request.POST if request.method == "POST" else None)
    if place and form.is_bound and form.is_valid():
        try:
            services.keep_view(person=request.user, query=place.filters, **form.cleaned_data)
        except InvalidRequest as error:
            form.refuse(error)
        else:
            messages.success(request, "The view is kept.")
            return redirect("saved-views")
    context = {
        "place": "queue",
        "of": place,
        "words": place.form.words() if place else [],
        "form": form,
        "most": MOST_VIEWS,
        "longest": LONGEST_VIEW_NAME,
        "views": [
            (one, f"{reverse('queue')}?{one.query}")
            for one in SavedView.objects.filter(person=request.user.pk).order_by("name")
        ],
    }
    status = 422 if form.errors else 200
    return render(request, "console/saved_views.html", context, status=status)


@require_POST
@people_only
def forget_view(request: Request, view_id: int) -> HttpResponse:
    """Remove one of my views."""
    try:
        services.forget_view(person=request.user, view_id=view_id)
    except NotFound as error:
        raise Http404 from error
    messages.success(request, "The view is removed.")
    return redirect("saved-views")


def links(place: Place) -> list[dict[str, Any]]:
    """The views of the person who opened this list, beside its tabs."""
    return [
        {"name": name, "url": f"{reverse('queue')}?{query}", "is_here": query == place.filters}
        for name, query in SavedView.objects.filter(person=place.user)
        .order_by("name")
        .values_list("name", "query")
    ]
