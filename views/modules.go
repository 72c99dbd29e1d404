package views

import (
	"context"

	"github.com/a-h/templ"

	"twinboard/views/text"
)

// ModulesProps are the modules of a device.
type ModulesProps struct {
	Tabs []Tab
	Lead string
	List []ModuleRow
	Add  ModuleAddProps
}

// ModuleRow is one module. Activity is when it last spoke, its Text empty when
// never; ManagedBy is who runs it, usually nobody.
type ModuleRow struct {
	ID, Name, Href, DeleteHref string
	Connection                 ConnectionProps
	Activity                   AgeProps
	ManagedBy                  string
}

// ModuleAddProps is the form for a new module: ID as typed, Error what is wrong
// with it.
type ModuleAddProps struct {
	Action, ID, Error string
	Max               int
}

func moduleColumns(ctx context.Context) []Column {
	return []Column{
		{Label: text.T(ctx, "modules.column.module")},
		{Label: text.T(ctx, "devices.column.connection")},
		{Label: text.T(ctx, "modules.column.activity")},
		{Label: text.T(ctx, "modules.column.managed")},
		{Label: text.T(ctx, "modules.column.actions"), Hidden: true},
	}
}

// focusAttrs leads the person to a field that was refused.
func focusAttrs(problem string) templ.Attributes {
	if problem == "" {
		return nil
	}
	return templ.Attributes{"data-focus": true}
}
