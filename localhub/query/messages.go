package query

import (
	"maps"
	"slices"
)

// Code names a kind of problem; it never changes once published.
type Code string

// Message is the English text of a code. {words} in braces are the names in
// Problem.Args; {found} is what stands in the query, shown in quotes, and when
// it is empty the end of the query.
type Message struct{ Text, Hint string }

// Codes returns every code a problem can have, sorted, for translations.
func Codes() []Code { return slices.Sorted(maps.Keys(messages)) }

// English returns the text of a code.
func English(code Code) Message { return messages[code] }

// Mistakes of length, characters and words.
const (
	codeEmpty           Code = "empty"
	codeTooLong         Code = "too-long"
	codeTooDeep         Code = "too-deep"
	codeTooManyOperands Code = "too-many-operands"
	codeNotUTF8         Code = "not-utf8"
	codeStranger        Code = "unknown-character"
	codeForeignSymbol   Code = "foreign-symbol"
	codeSemicolon       Code = "semicolon"
	codeCurlyQuote      Code = "curly-quote"
	codeDoubledQuote    Code = "doubled-quote"
	codeLineComment     Code = "line-comment"
	codeUnclosedString  Code = "unclosed-string"
	codeUnclosedName    Code = "unclosed-name"
	codeUnclosedComment Code = "unclosed-comment"
	codeBadEscape       Code = "bad-escape"
	codeBadNumber       Code = "bad-number"
	codeHugeNumber      Code = "huge-number"
	codeNameDigit       Code = "name-begins-with-digit"
	codeReserved        Code = "reserved-word"
	codeMisspelt        Code = "misspelt-word"
)

// Mistakes of grammar.
const (
	codeExpectedSelect   Code = "expected-select"
	codeReadOnly         Code = "read-only"
	codeTopNumber        Code = "top-number"
	codeStarAlone        Code = "star-alone"
	codeExpectedItem     Code = "expected-item"
	codeSelectExpression Code = "select-expression"
	codeSelectFunction   Code = "select-function"
	codeMissingFrom      Code = "missing-from"
	codeExpectedFrom     Code = "expected-from"
	codeStarFrom         Code = "expected-from-after-star"
	codeExpectedSource   Code = "expected-source"
	codeUnknownSource    Code = "unknown-source"
	codeMisspeltSource   Code = "misspelt-source"
	codeOneSource        Code = "one-source"
	codeSourceAlias      Code = "source-alias"
	codeExpectedClause   Code = "expected-clause"
	codeClauseOrder      Code = "clause-order"
	codeExpectedBy       Code = "expected-by"
	codeExpectedName     Code = "expected-name"
	codeExpectedAlias    Code = "expected-alias"
	codeExpectedPath     Code = "expected-path"
	codeExpectedValue    Code = "expected-value"
	codeExpectedOperator Code = "expected-operator"
	codeUnexpected       Code = "unexpected"
	codeExtraParen       Code = "extra-parenthesis"
	codeUnclosedParen    Code = "unclosed-parenthesis"
	codeUnclosedCall     Code = "unclosed-call"
	codeUnclosedArray    Code = "unclosed-array"
	codeArrayComma       Code = "array-comma"
	codeArrayConstants   Code = "array-constants"
	codeArrayUnquoted    Code = "array-unquoted"
	codeInArray          Code = "in-needs-array"
	codeInParens         Code = "in-parentheses"
	codeNotIn            Code = "not-in"
	codeChained          Code = "chained-comparison"
	codeCallParens       Code = "call-parentheses"
	codeNoIndex          Code = "no-index"
	codeMissingDot       Code = "missing-dot"
	codeSingleBrackets   Code = "single-brackets"
	codeQuotedName       Code = "quoted-name"
	codeSubquery         Code = "no-subquery"
)

// Words of SQL that this language does not have.
const (
	codeNoOrderBy  Code = "no-order-by"
	codeNoLimit    Code = "no-limit"
	codeNoJoin     Code = "no-join"
	codeNoLike     Code = "no-like"
	codeNoBetween  Code = "no-between"
	codeNoDistinct Code = "no-distinct"
	codeNoIs       Code = "no-is"
	codeNoHaving   Code = "no-having"
	codeNoUnion    Code = "no-union"
	codeNoValue    Code = "no-value"
	codeNoExists   Code = "no-exists"
)

// Mistakes of meaning.
const (
	codeUnknownFunction  Code = "unknown-function"
	codeMisspeltFunction Code = "misspelt-function"
	codeStartsWith       Code = "no-starts-with"
	codeEndsWith         Code = "no-ends-with"
	codeContains         Code = "no-contains"
	codeRouteFunction    Code = "route-function"
	codeOneArgument      Code = "one-argument"
	codeTwoArguments     Code = "two-arguments"
	codeIsDefinedPath    Code = "is-defined-path"
	codeAggregateWhere   Code = "aggregate-in-where"
	codeCountArgument    Code = "count-argument"
	codeAggregatePath    Code = "aggregate-path"
	codeGroupStar        Code = "group-star"
	codeNotGrouped       Code = "not-grouped"
	codeGroupSource      Code = "group-source"
	codeJobsStar         Code = "jobs-star"
)

// Warnings.
const (
	codeUnknownField     Code = "unknown-field"
	codeMisspeltField    Code = "misspelt-field"
	codeSectionAlone     Code = "section-alone"
	codeUnknownSection   Code = "unknown-section"
	codeMisspeltSection  Code = "misspelt-section"
	codeUnknownJobField  Code = "unknown-job-field"
	codeMisspeltJobField Code = "misspelt-job-field"
	codeNullComparison   Code = "null-comparison"
	codeNeverComparison  Code = "undefined-comparison"
	codeArrayComparison  Code = "array-comparison"
	codeSameName         Code = "same-name"
	codeComment          Code = "comment"
)

var messages = map[Code]Message{
	codeEmpty:           {`The query is empty.`, `The shortest one is SELECT * FROM devices.`},
	codeTooLong:         {`The query has {length} characters; a hub accepts {limit}.`, ``},
	codeTooDeep:         {`The query is nested more than {limit} levels deep.`, ``},
	codeTooManyOperands: {`The query has more than {limit} operands.`, `For many values of one property use IN with an array.`},
	codeNotUTF8:         {`The query is not valid UTF-8 here.`, ``},
	codeStranger:        {`{found} means nothing in a query.`, `A property name that holds such a character goes in double brackets, a text in single quotes.`},
	codeForeignSymbol:   {`{found} is not an operator here.`, `Write {instead}.`},
	codeSemicolon:       {`A query ends without ";".`, ``},
	codeCurlyQuote:      {`{found} does not quote a text.`, `Use straight quotes: 'text'.`},
	codeDoubledQuote:    {`A quote within a text is not doubled.`, `Put a backslash before it.`},
	codeLineComment:     {`"--" begins no comment.`, `Leave the comment out; two minus signs are written - -.`},
	codeUnclosedString:  {`The text that begins here is not closed.`, `It ends with the quote it begins with; a quote within it is written \' or \".`},
	codeUnclosedName:    {`The name that begins here is not closed.`, `End it with ]].`},
	codeUnclosedComment: {`The comment that begins here is not closed.`, `End it with */.`},
	codeBadEscape:       {`{found} is no escape.`, `There are \', \", \\ and \u with four hexadecimal digits.`},
	codeBadNumber:       {`{found} is no number.`, `Numbers look like 12, 1.5, 2e6 or 0x1F; a property name that begins with a digit goes in double brackets.`},
	codeHugeNumber:      {`The number {found} is too large.`, ``},
	codeNameDigit:       {`A name that begins with a digit needs brackets.`, `Write it as [[{name}]].`},
	codeReserved:        {`"{word}" is a reserved word here.`, `Write it as [[{word}]].`},
	codeMisspelt:        {`{found} is not a word of the language here.`, `Did you mean {instead}?`},

	codeExpectedSelect:   {`A query begins with SELECT, not with {found}.`, ``},
	codeReadOnly:         {`A query reads; it has no {word}.`, `To change many twins, select them here and change them as a job.`},
	codeTopNumber:        {`TOP needs a whole number of at least 1, not {found}.`, ``},
	codeStarAlone:        {`"*" stands alone.`, `Select everything with *, or name the properties you want.`},
	codeExpectedItem:     {`Expected *, a property or an aggregate, found {found}.`, ``},
	codeSelectExpression: {`SELECT lists properties and aggregates; it does not calculate.`, ``},
	codeSelectFunction:   {`{name} cannot stand in SELECT.`, `SELECT lists properties and the aggregates COUNT, AVG, SUM, MIN and MAX.`},
	codeMissingFrom:      {`The query ends without FROM.`, `Add FROM devices.`},
	codeStarFrom:         {`Expected FROM, found {found}.`, ``},
	codeExpectedFrom:     {`Expected ",", AS or FROM, found {found}.`, ``},
	codeExpectedSource:   {`Expected a collection after FROM, found {found}.`, `There are devices, devices.modules and devices.jobs.`},
	codeUnknownSource:    {`There is no collection {found}.`, `There are devices, devices.modules and devices.jobs.`},
	codeMisspeltSource:   {`There is no collection {found}.`, `Did you mean {instead}?`},
	codeOneSource:        {`A query reads one collection.`, `To combine several, query each and join them in your program.`},
	codeSourceAlias:      {`A collection cannot be given another name.`, `Write {source} only; paths need no prefix.`},
	codeExpectedClause:   {`Expected WHERE, GROUP BY or the end of the query, found {found}.`, ``},
	codeClauseOrder:      {`{word} cannot stand here.`, `The order is SELECT, FROM, WHERE, GROUP BY, each at most once.`},
	codeExpectedBy:       {`Expected BY after GROUP, found {found}.`, `A property named group is written [[group]].`},
	codeExpectedName:     {`Expected a property name after ".", found {found}.`, ``},
	codeExpectedAlias:    {`Expected a name after AS, found {found}.`, `A name with other characters than letters and digits goes in double brackets.`},
	codeExpectedPath:     {`Expected a property, found {found}.`, ``},
	codeExpectedValue:    {`Expected a property, a value or "(", found {found}.`, ``},
	codeExpectedOperator: {`Expected an operator such as =, AND or OR before {found}.`, ``},
	codeUnexpected:       {`{found} cannot stand here.`, ``},
	codeExtraParen:       {`This ")" closes nothing.`, ``},
	codeUnclosedParen:    {`This "(" is not closed.`, `Add ")" where its content ends.`},
	codeUnclosedCall:     {`Expected "," or ")" in the arguments of {name}, found {found}.`, ``},
	codeUnclosedArray:    {`This "[" is not closed.`, `Add "]" where the array ends.`},
	codeArrayComma:       {`Expected "," or "]" in the array, found {found}.`, ``},
	codeArrayConstants:   {`An array holds constants only, not {found}.`, ``},
	codeArrayUnquoted:    {`An array holds constants only, and {found} is a property.`, `A text goes in quotes: '{name}'.`},
	codeInArray:          {`{word} needs an array of constants, found {found}.`, `For example: {word} ['a', 'b'].`},
	codeInParens:         {`{word} takes its values in square brackets.`, `For example: {word} ['a', 'b'].`},
	codeNotIn:            {`NOT IN is written NIN.`, ``},
	codeChained:          {`Comparisons do not chain.`, `Join two of them with AND.`},
	codeCallParens:       {`{name} takes its arguments in parentheses.`, ``},
	codeNoIndex:          {`Elements of arrays cannot be addressed.`, `ARRAY_CONTAINS tells whether an array holds a value; members of objects follow a dot.`},
	codeMissingDot:       {`A dot is missing before [[{name}]].`, ``},
	codeSingleBrackets:   {`A name is escaped with two brackets on each side.`, `For example: tags.[[group]].`},
	codeQuotedName:       {`A name is not written in quotes.`, `Use double brackets: [[{name}]].`},
	codeSubquery:         {`A query cannot contain another one.`, ``},

	codeNoOrderBy:  {`ORDER BY is not part of the language.`, `The hub returns rows in its own order; sort what you receive.`},
	codeNoLimit:    {`{word} is not part of the language.`, `Bound the rows with SELECT TOP n, or ask page by page.`},
	codeNoJoin:     {`JOIN is not part of the language.`, `Tags, desired and reported properties of a device are all in its twin.`},
	codeNoLike:     {`LIKE is not part of the language.`, `STARTSWITH(property, 'text') tests the beginning of a text.`},
	codeNoBetween:  {`BETWEEN is not part of the language.`, `Write property >= low AND property <= high.`},
	codeNoDistinct: {`DISTINCT is not part of the language.`, `SELECT property, COUNT() AS n FROM devices GROUP BY property lists each value once.`},
	codeNoIs:       {`IS is not part of the language.`, `IS_DEFINED(property) tells whether a twin has the property, NOT IS_DEFINED(property) whether it is missing.`},
	codeNoHaving:   {`HAVING is not part of the language.`, `Filter the groups you receive.`},
	codeNoUnion:    {`{word} is not part of the language.`, `Ask the queries one after the other.`},
	codeNoValue:    {`SELECT VALUE is not part of the language.`, `A row is always an object; name the properties you want.`},
	codeNoExists:   {`EXISTS is not part of the language.`, `IS_DEFINED(property) tells whether a twin has the property.`},

	codeUnknownFunction:  {`There is no function {name}.`, `There are IS_DEFINED, STARTSWITH, ENDSWITH, ARRAY_CONTAINS and the IS_ family, such as IS_NUMBER.`},
	codeMisspeltFunction: {`There is no function {name}.`, `Did you mean {instead}?`},
	codeStartsWith:       {`STARTS_WITH is refused in queries over twins.`, `Write STARTSWITH.`},
	codeEndsWith:         {`ENDS_WITH is refused in queries over twins.`, `Write ENDSWITH.`},
	codeContains:         {`CONTAINS is refused in queries over twins.`, `The language cannot search within a text: STARTSWITH tests its beginning. For an array use ARRAY_CONTAINS.`},
	codeRouteFunction:    {`{name} works in message routes, not in queries over twins.`, ``},
	codeOneArgument:      {`{name} takes one argument, not {got}.`, ``},
	codeTwoArguments:     {`{name} takes two arguments, not {got}.`, ``},
	codeIsDefinedPath:    {`IS_DEFINED takes a property, not {found}.`, ``},
	codeAggregateWhere:   {`{name} cannot stand in WHERE.`, `Aggregates are for SELECT: WHERE chooses the rows before they are counted.`},
	codeCountArgument:    {`COUNT takes no argument.`, `COUNT() counts rows; to count those that have a property add WHERE IS_DEFINED(property).`},
	codeAggregatePath:    {`{name} takes one property, found {found}.`, ``},
	codeGroupStar:        {`SELECT * cannot be grouped.`, `Name the grouping properties and the aggregates you want.`},
	codeNotGrouped:       {`{path} is neither grouped nor aggregated.`, `Add it to GROUP BY, or leave it out.`},
	codeGroupSource:      {`GROUP BY works over devices, not over {source}.`, `Select the properties and group the rows you receive.`},
	codeJobsStar:         {`Rows of devices.jobs can only be read as a whole.`, `Write SELECT * and take what you need from the rows.`},

	codeUnknownField:     {`A twin has no field "{name}", so this is always undefined.`, `Names are written in full: properties.reported.{name}, properties.desired.{name} or tags.{name}.`},
	codeMisspeltField:    {`A twin has no field "{name}", so this is always undefined.`, `Did you mean {instead}?`},
	codeSectionAlone:     {`A twin has no field "{name}", so this is always undefined.`, `Write properties.{name}.`},
	codeUnknownSection:   {`properties holds desired and reported only, so this is always undefined.`, `Write properties.reported.{name} or properties.desired.{name}.`},
	codeUnknownJobField:  {`A row of devices.jobs has no field "{name}", so this is always undefined.`, `It has {fields}.`},
	codeMisspeltJobField: {`A row of devices.jobs has no field "{name}", so this is always undefined.`, `Did you mean {instead}?`},
	codeMisspeltSection:  {`properties holds desired and reported only, so this is always undefined.`, `Did you mean {instead}?`},
	codeNullComparison:   {`Tags and properties hold no null: writing null removes them.`, `IS_DEFINED tells whether a twin has the property.`},
	codeNeverComparison:  {`A comparison with undefined is never true.`, `NOT IS_DEFINED tells whether a property is missing.`},
	codeArrayComparison:  {`A comparison with an array is never true.`, `IN asks whether a value is one of an array, ARRAY_CONTAINS whether an array holds a value.`},
	codeSameName:         {`Two elements of SELECT are named "{name}"; rows hold the later one only.`, `Name one of them with AS.`},
	codeComment:          {`Azure IoT Hub may refuse comments.`, `Their support is not documented.`},
}
