"""The page of one person's preferences: how pages look and work, for nobody else."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from proposals import services
from proposals.console.admission import Request, people_only
from proposals.console.forms import PreferencesForm
from proposals.console.personal import preferences_of
from proposals.exceptions import InvalidRequest


@require_http_methods(["GET", "POST"])
@people_only
def preferences(request: Request) -> HttpResponse:
    """How should pages look to me? And, by POST, let them."""
    kept = preferences_of(request.user)
    initial = {name: getattr(kept, name) for name in PreferencesForm.base_fields}
    form = PreferencesForm(request.POST if request.method == "POST" else None, initial=initial)
    if form.is_bound and form.is_valid():
        try:
            services.save_preferences(person=request.user, **form.cleaned_data)
        except InvalidRequest as error:
            form.refuse(error)
        else:
            messages.success(request, "Your preferences are kept.")
            return redirect("preferences")
    context = {"place": "preferences", "form": form}
    status = 422 if form.errors else 200
    return render(request, "console/preferences.html", context, status=status)
