package text

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Number writes a whole number by language: 12,480 in English, 12.480 in
// Spanish, which leaves four digits ungrouped (1240), after CLDR.
func Number[N ~int | ~int64 | ~uint64](ctx context.Context, n N) string {
	s := fmt.Sprint(n)
	if digits, negative := strings.CutPrefix(s, "-"); negative {
		return "−" + grouped(from(ctx), digits)
	}
	return grouped(from(ctx), s)
}

// Decimal writes a number with that many digits after the point, or, given -1,
// as many as it has.
func Decimal(ctx context.Context, f float64, digits int) string {
	l := from(ctx)
	s := strconv.FormatFloat(f, 'f', digits, 64)
	s, negative := strings.CutPrefix(s, "-")
	whole, fraction, found := strings.Cut(s, ".")
	out := grouped(l, whole)
	if found {
		out += l.decimal + fraction
	}
	if negative {
		return "−" + out
	}
	return out
}

func grouped(l *locale, digits string) string {
	if len(digits) < l.minGroup {
		return digits
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteString(l.group)
		}
		b.WriteRune(d)
	}
	return b.String()
}

// Size writes a number of bytes: "41 bytes", "1.1 KB" (of 1,024 bytes), "3.2 MB".
func Size(ctx context.Context, bytes int64) string {
	switch {
	case bytes < 1000:
		return T(ctx, "size.bytes", "Count", bytes)
	case bytes < 1<<20:
		return T(ctx, "size.kb", "N", short(ctx, float64(bytes)/(1<<10)))
	}
	return T(ctx, "size.mb", "N", short(ctx, float64(bytes)/(1<<20)))
}

// Bytes writes a size against its limit, both in KB: "0.2 / 8 KB"; "< 0.1 / 8 KB"
// for the little that would round to nothing.
func Bytes(ctx context.Context, used, limit int64) string {
	n := short(ctx, float64(used)/(1<<10))
	if used > 0 && n == "0" {
		n = "<\u00a0" + Decimal(ctx, 0.1, 1) // something is there
	}
	return T(ctx, "size.of", "N", n, "Limit", short(ctx, float64(limit)/(1<<10)))
}

// short keeps one digit after the point where it says something.
func short(ctx context.Context, f float64) string {
	s := Decimal(ctx, f, 1)
	if l := from(ctx); strings.HasSuffix(s, l.decimal+"0") {
		return strings.TrimSuffix(s, l.decimal+"0")
	}
	return s
}

// Span writes how long something lasts or is old, in its largest unit: "12
// minutes", "3 hours". Negative spans count as none.
func Span(ctx context.Context, d time.Duration) string {
	unit, n := largest(d)
	return T(ctx, "span."+unit, "Count", n)
}

// SpanShort is Span for tables: "12 min", "3 h".
func SpanShort(ctx context.Context, d time.Duration) string {
	unit, n := largest(d)
	return T(ctx, "span.short."+unit, "N", n)
}

// moment is how long something has only just happened: nobody counts its seconds.
const moment = 5 * time.Second

// Lasting is Span for what goes on since: "12 minutes", at first "a moment".
func Lasting(ctx context.Context, d time.Duration) string {
	if d < moment {
		return T(ctx, "span.moment")
	}
	return Span(ctx, d)
}

// Age is how old something is, for tables: "12 min", at first "just now".
func Age(ctx context.Context, d time.Duration) string {
	if d < moment {
		return T(ctx, "span.now")
	}
	return SpanShort(ctx, d)
}

// Ago says how long something is past: "12 minutes ago", "hace 12 minutos", at
// first "just now".
func Ago(ctx context.Context, d time.Duration) string {
	if d < moment {
		return T(ctx, "span.now")
	}
	return T(ctx, "span.ago", "Span", Span(ctx, d))
}

// AgoShort is Ago for tables: "12 min ago".
func AgoShort(ctx context.Context, d time.Duration) string {
	if d < moment {
		return T(ctx, "span.now")
	}
	return T(ctx, "span.ago", "Span", SpanShort(ctx, d))
}

func largest(d time.Duration) (unit string, n int) {
	switch {
	case d < time.Minute:
		return "second", max(0, int(d/time.Second))
	case d < time.Hour:
		return "minute", int(d / time.Minute)
	case d < 24*time.Hour:
		return "hour", int(d / time.Hour)
	}
	return "day", int(d / (24 * time.Hour))
}

// When says when something happened: relative within a day, then the date.
func When(ctx context.Context, t, now time.Time) string {
	if now.Sub(t) < 24*time.Hour {
		return Ago(ctx, now.Sub(t))
	}
	return Date(ctx, t)
}

// Clock is the time of day with seconds, in the time's own zone: "14:05:02".
func Clock(_ context.Context, t time.Time) string { return t.Format("15:04:05") }

// ClockFine is the time of day with tenths of a second: "14:05:02.1".
func ClockFine(ctx context.Context, t time.Time) string {
	return strings.Replace(t.Format("15:04:05.0"), ".", from(ctx).decimal, 1)
}

// ClockShort is the time of day to the minute: "14:05".
func ClockShort(_ context.Context, t time.Time) string { return t.Format("15:04") }

// Date is the day: "22 Nov 2026", "22 nov 2026".
func Date(ctx context.Context, t time.Time) string {
	month := T(ctx, "month."+strconv.Itoa(int(t.Month())))
	return fmt.Sprintf("%d %s %d", t.Day(), month, t.Year())
}

// Exact is the whole time with its zone, for titles and details: "22 Nov 2026,
// 14:05:02 UTC".
func Exact(ctx context.Context, t time.Time) string {
	return Date(ctx, t) + ", " + t.Format("15:04:05 MST")
}
